//! The Mount actor: owns the mount, for all images, and tells which files may be projected.

use crate::decide::desired::{Candidate, FileChecks, FileVerdict};
use crate::decide::inspection::{Inspection, KnownFiles, Meaning, ReadFailure};
use crate::decide::live::{FileQuery, LiveFile, LiveFiles};
use crate::decide::pe_rules::discover;
use crate::decide::policy::PeRules;
use crate::decide::reason::{ABSENT, Reason};
use crate::model::{Cause, FileFacts, ObjectIndex, ObjectKey, Site};
use crate::ports::{MountError, MountPort};
use actix::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub mod again;

/// Owns the mount, and knows which of its files are PE images.
pub struct Mount<P> {
    site: Site,
    pe: PeRules,
    port: Rc<P>,
    known: Rc<RefCell<KnownFiles>>,
}

impl<P: MountPort> Mount<P> {
    /// An actor over this port.
    pub fn new(port: P, site: Site, pe: PeRules) -> Self {
        Mount { site, pe, port: Rc::new(port), known: Rc::default() }
    }
}

impl<P: MountPort> Actor for Mount<P> {
    type Context = Context<Self>;
}

/// Request: the PE images of this listing.
#[derive(Message)]
#[rtype(result = "Vec<Candidate>")]
pub struct DiscoverPe(pub Arc<ObjectIndex>);

impl<P: MountPort> Handler<DiscoverPe> for Mount<P> {
    type Result = MessageResult<DiscoverPe>;

    fn handle(&mut self, msg: DiscoverPe, _: &mut Self::Context) -> Self::Result {
        MessageResult(discover(&msg.0, &self.site, &self.pe))
    }
}

/// Request: whether the mount works, and whether these files are complete images of the listed size.
#[derive(Message)]
#[rtype(result = "FileChecks")]
pub struct CheckFiles(pub Vec<FileQuery>);

impl<P: MountPort> Handler<CheckFiles> for Mount<P> {
    type Result = ResponseFuture<FileChecks>;

    fn handle(&mut self, msg: CheckFiles, _: &mut Self::Context) -> Self::Result {
        let (mount, known) = (self.port.clone(), self.known.clone());
        Box::pin(check_files(mount, known, msg.0))
    }
}

/// Request: what these live files are now; none is opened or read.
#[derive(Message)]
#[rtype(result = "LiveFiles")]
pub struct ExamineFiles(pub Vec<ObjectKey>);

impl<P: MountPort> Handler<ExamineFiles> for Mount<P> {
    type Result = ResponseFuture<LiveFiles>;

    fn handle(&mut self, msg: ExamineFiles, _: &mut Self::Context) -> Self::Result {
        let mount = self.port.clone();
        Box::pin(async move { examine_files(&*mount, msg.0).await })
    }
}

/// So long the files of one pass are looked at; what is left has its turn in the next one (R14).
const LOOK_WITHIN: Duration = Duration::from_secs(60);

/// Files that are read at once. Each of them may hang, with a thread of the port.
const AT_ONCE: usize = 8;

/// The first failure of the mount as a whole ends the check (R14).
async fn check_files<P: MountPort>(
    mount: Rc<P>,
    known: Rc<RefCell<KnownFiles>>,
    mut files: Vec<FileQuery>,
) -> FileChecks {
    let mut checks = FileChecks::default();
    if let Err(error) = mount.check().await {
        checks.cause = Some((&error).into());
        return checks;
    }
    let mut inspection = known.borrow_mut().begin(&mut files);
    let until = Instant::now() + LOOK_WITHIN;
    let (mut files, mut under_way) = (files.into_iter(), JoinSet::new());
    loop {
        while under_way.len() < AT_ONCE
            && let Some(file) = files.next()
        {
            let time_is_over = Instant::now() >= until;
            match inspection.without_reading(&known.borrow(), &file, time_is_over) {
                Some(verdict) => drop(checks.files.insert(file.key, verdict)),
                None => {
                    let mount = mount.clone();
                    under_way.spawn_local(async move {
                        let facts = mount.inspect(&file.key).await;
                        (file, facts)
                    });
                }
            }
        }
        let Some(answer) = under_way.join_next().await else { break };
        // Without an answer, for its question has panicked, there is no verdict: that is unknown.
        let Ok((file, facts)) = answer else { continue };
        match judge(&*mount, &known, &mut inspection, &file, facts).await {
            Ok(verdict) => drop(checks.files.insert(file.key, verdict)),
            Err(cause) => {
                checks.cause = Some(cause);
                break;
            }
        }
    }
    known.borrow_mut().end(inspection);
    checks
}

/// What one file is; an error is the mount's as a whole.
async fn judge(
    mount: &impl MountPort,
    known: &RefCell<KnownFiles>,
    inspection: &mut Inspection,
    file: &FileQuery,
    facts: Result<FileFacts, MountError>,
) -> Result<FileVerdict, Cause> {
    let error = match facts {
        Ok(facts) => return Ok(known.borrow_mut().judge(file, &facts)),
        Err(error) => error,
    };
    match inspection.failed(&file.key, failure(&error)) {
        Meaning::ThisFile(verdict) => Ok(verdict),
        Meaning::ThisFileIfMounted(verdict) => {
            mount.check().await.map(|_| verdict).map_err(|error| Cause::from(&error))
        }
        Meaning::WholeMount(cause) => Err(cause),
    }
}

fn failure(error: &MountError) -> ReadFailure {
    match (of_file(error), error) {
        (Some(reason), _) => ReadFailure::OfFile(reason),
        (None, MountError::Hung { .. }) => ReadFailure::Hung(error.into()),
        (None, _) => ReadFailure::Refused(error.into()),
    }
}

async fn examine_files(mount: &impl MountPort, keys: Vec<ObjectKey>) -> LiveFiles {
    let Ok(facts) = mount.check().await else { return LiveFiles::default() };
    let asked = keys.clone();
    let Ok(mut found) = mount.examine(keys).await else { return LiveFiles::default() };
    let mut state = |key: &ObjectKey| match found.remove(key) {
        Some(Ok(size)) => LiveFile::Regular(size),
        Some(Err(MountError::Absent { .. })) => LiveFile::Absent,
        Some(Err(error @ (MountError::Escape { .. } | MountError::NotRegular { .. }))) => {
            LiveFile::Escapes(error.to_string())
        }
        Some(Err(error)) => LiveFile::Unclear(error.to_string()),
        None => LiveFile::Unclear("it was not reached in time".into()),
    };
    let files = asked.into_iter().map(|key| (key.clone(), state(&key))).collect();
    LiveFiles { mount: Some(facts), files }
}

/// Of one file's error: a reason, if it concerns this file alone for sure.
fn of_file(error: &MountError) -> Option<Reason> {
    let kind = match error {
        MountError::Absent { .. } => ABSENT,
        MountError::Escape { .. } => "file_escapes",
        MountError::NotRegular { .. } => "file_not_regular",
        _ => return None,
    };
    Some(Reason::File { kind, detail: error.to_string() })
}
