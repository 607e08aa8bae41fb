//! The Mount actor: owns the mount, for all images, and tells which files may be projected.

use crate::decide::desired::{Candidate, FileChecks, FileVerdict, file_verdict};
use crate::decide::live::{FileQuery, LiveFile, LiveFiles};
use crate::decide::pe_rules::discover;
use crate::decide::policy::PeRules;
use crate::decide::reason::{ABSENT, Reason};
use crate::model::{Cause, Etag, FileFacts, ObjectIndex, ObjectKey, Site, Source};
use crate::ports::{MountError, MountPort};
use actix::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub mod again;

/// Owns the mount, and knows which of its files are PE images.
pub struct Mount<P> {
    site: Site,
    pe: PeRules,
    port: Rc<P>,
    memory: Rc<RefCell<Memory>>,
}

/// What is not looked at again, and what is looked at last.
#[derive(Debug, Default)]
struct Memory {
    /// Objects that are no images, whatever happens: until they have another ETag.
    never: BTreeMap<ObjectKey, (Etag, Reason)>,
    /// Objects that the mount refused when it was last asked.
    refused: BTreeSet<ObjectKey>,
}

impl Memory {
    fn forget_all_but(&mut self, files: &[FileQuery]) {
        let asked: BTreeSet<&ObjectKey> = files.iter().map(|file| &file.key).collect();
        self.never.retain(|key, _| asked.contains(key));
        self.refused.retain(|key| asked.contains(key));
    }
}

impl<P: MountPort> Mount<P> {
    /// An actor over this port.
    pub fn new(port: P, site: Site, pe: PeRules) -> Self {
        Mount { site, pe, port: Rc::new(port), memory: Rc::default() }
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
        let (mount, memory) = (self.port.clone(), self.memory.clone());
        Box::pin(async move { check_files(&*mount, &memory, msg.0).await })
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

/// So many files may be refused in one pass before the mount is left alone.
const MOST_REFUSED: usize = 32;

/// A file that the mount refuses is a matter of that file, as long as the mount itself still answers; so whoever may
/// write to the bucket holds up nothing but what he wrote. The first failure of the mount as a whole ends the check:
/// what hangs once is not asked again (R14).
async fn check_files(
    mount: &impl MountPort,
    memory: &RefCell<Memory>,
    mut files: Vec<FileQuery>,
) -> FileChecks {
    let mut checks = FileChecks::default();
    if let Err(error) = mount.check().await {
        checks.cause = Some((&error).into());
        return checks;
    }
    memory.borrow_mut().forget_all_but(&files);
    // Whoever may write to the bucket chooses names: what was refused last time must not come first for ever.
    files.sort_by_key(|file| memory.borrow().refused.contains(&file.key));
    let until = Instant::now() + LOOK_WITHIN;
    let mut refused = BTreeSet::new();
    for file in files {
        let known = memory.borrow().never.get(&file.key).filter(|(etag, _)| *etag == file.etag).cloned();
        let verdict = match known {
            Some((_, reason)) => FileVerdict::Incomplete(reason),
            None if Instant::now() >= until => not_reached(&file.key, "slow"),
            None if refused.len() > MOST_REFUSED => not_reached(&file.key, "refused"),
            None => match mount.inspect(&file.key).await {
                Ok(facts) => judged(&facts, &file, memory),
                Err(error) => match of_file(&error) {
                    Some(reason) => FileVerdict::Incomplete(reason),
                    None => {
                        refused.insert(file.key.clone());
                        let hangs = matches!(error, MountError::Hung { .. });
                        let whole = if hangs { None } else { mount.check().await.err() };
                        if hangs || whole.is_some() {
                            checks.cause = Some(whole.as_ref().unwrap_or(&error).into());
                            break;
                        }
                        FileVerdict::Unknown(Cause::from(&error))
                    }
                },
            },
        };
        checks.files.insert(file.key, verdict);
    }
    memory.borrow_mut().refused.extend(refused);
    checks
}

/// R7; what will never be an image is remembered.
fn judged(facts: &FileFacts, file: &FileQuery, memory: &RefCell<Memory>) -> FileVerdict {
    let verdict = file_verdict(facts, file.size);
    if let FileVerdict::Incomplete(reason) = &verdict
        && !reason.will_pass()
    {
        memory.borrow_mut().never.insert(file.key.clone(), (file.etag.clone(), reason.clone()));
    }
    verdict
}

fn not_reached(key: &ObjectKey, kind: &'static str) -> FileVerdict {
    let detail =
        format!("{key} was not reached in this pass: the mount takes too long, or refuses too many files");
    FileVerdict::Unknown(Cause { source_name: Source::Mount, kind, detail })
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
