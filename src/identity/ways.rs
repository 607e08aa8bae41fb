//! The ways to an identity: the Workload API, asked by ourselves, or the helper.

use super::svid::{Accepted, Svid, names};
use super::{Source, helper, remedy, workload};
use crate::aside::Aside;
use crate::config::{self, SpireMode};
use crate::files;
use actors::events::emit;
use actors::ports::IdentityError;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

/// Where CSM says which node this is.
const XNAME_FILE: &str = "/etc/cray/xname";

/// Bytes of the longest xname file that is read.
const LONGEST_XNAME: u64 = 256;

/// How a token is got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// We ask the Workload API.
    WorkloadApi,
    /// The helper asks it for us.
    Helper,
    /// There is no SPIRE on this node.
    None,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::WorkloadApi => "workload-api",
            Way::Helper => "helper",
            Way::None => "none",
        }
    }
}

/// What was last said of the way, and whether SPIRE has ever given a token.
#[derive(Debug, Default)]
struct Last {
    told: Option<(Way, String)>,
    served: bool,
}

/// What there is on this node.
#[derive(Debug)]
struct Found {
    accepted: Accepted,
    socket: bool,
    helper: bool,
}

/// SPIRE on this node.
#[derive(Debug)]
pub struct Ways {
    spire: config::Spire,
    xname: PathBuf,
    limit: Duration,
    last: Mutex<Last>,
    aside: Aside,
}

impl Ways {
    /// To what `spire` names. A look at files may take `limit`.
    pub fn new(spire: config::Spire, limit: Duration) -> Self {
        let xname = PathBuf::from(XNAME_FILE);
        Ways { spire, xname, limit, last: Mutex::default(), aside: Aside::default() }
    }

    /// With another file for the name of the node.
    pub fn with_xname(self, xname: PathBuf) -> Self {
        Ways { xname, ..self }
    }

    /// The way that worked last comes first: a helper that works is not preceded by a refusal each time.
    async fn choose(&self, found: &Found) -> Result<Option<(Way, Svid)>, IdentityError> {
        match self.spire.mode {
            SpireMode::WorkloadApi => self.by(Way::WorkloadApi, found).await,
            SpireMode::Helper => self.by(Way::Helper, found).await,
            _ if !found.socket && !found.helper && !self.last().served => Ok(None),
            _ if self.way() == Some(Way::Helper) => match self.by(Way::Helper, found).await {
                Err(error) if !is_about_the_agent(&error) => {
                    // Of two refusals that of the helper counts: it is the one that CSM knows.
                    self.by(Way::WorkloadApi, found).await.map_err(|_| error)
                }
                other => other,
            },
            _ => match self.by(Way::WorkloadApi, found).await {
                Err(error) if found.helper && !is_about_the_agent(&error) => {
                    self.by(Way::Helper, found).await
                }
                other => other,
            },
        }
    }

    async fn by(&self, way: Way, found: &Found) -> Result<Option<(Way, Svid)>, IdentityError> {
        let (socket, audience) = (&self.spire.agent_sock_path, self.spire.jwt_audience.as_str());
        let (program, svids) = match way {
            Way::Helper => {
                let path = &self.spire.agent_path;
                (path.display().to_string(), helper::fetch(path, socket, audience).await?)
            }
            _ => (workload::program(), workload::fetch(socket, audience).await?),
        };
        let Some(ours) = found.accepted.choose(&svids) else {
            let (issued, wanted) = (names(&svids), found.accepted.to_string());
            let remedy = remedy(&program);
            return Err(IdentityError::Foreign { program, issued, wanted, remedy });
        };
        let svid = Svid::new(ours, audience, SystemTime::now());
        svid.map(|svid| Some((way, svid))).map_err(|problem| IdentityError::Answer { program, problem })
    }

    async fn look(&self) -> Result<Found, IdentityError> {
        let (xname, socket) = (self.xname.clone(), self.spire.agent_sock_path.clone());
        let helper = self.spire.agent_path.clone();
        let looked = self.aside.ask(self.limit, move || {
            // Not every site has xnames.
            let name = files::read_up_to(&xname, LONGEST_XNAME).unwrap_or_default();
            let accepted = Accepted::new(std::str::from_utf8(&name).ok());
            Found { accepted, socket: socket.exists(), helper: helper.exists() }
        });
        looked.await.map_err(|error| IdentityError::Unreachable {
            socket: self.spire.agent_sock_path.display().to_string(),
            problem: error.to_string(),
        })
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self) -> Option<Way> {
        self.last().told.as_ref().map(|(way, _)| *way)
    }

    /// The way that was told last, if any was.
    pub fn told(&self) -> Option<&'static str> {
        self.way().map(Way::name)
    }

    /// The way that worked last.
    pub fn way_name(&self) -> &'static str {
        self.way().unwrap_or(Way::None).name()
    }

    /// Says it the first time, and when it changes.
    fn tell(&self, way: Way, spiffe_id: &str) {
        let mut last = self.last();
        last.served |= way != Way::None;
        let told = (way, spiffe_id.to_owned());
        if last.told.as_ref() == Some(&told) {
            return;
        }
        let was = last.told.replace(told).map(|(way, _)| way.name());
        let spiffe_id = Some(spiffe_id).filter(|id| !id.is_empty());
        match way {
            Way::None => {
                emit!(IDENTITY_WAY, way = way.name(), was, spiffe_id; "no token is sent to IMS: neither spire.agent_sock_path nor spire.agent_path is there");
            }
            _ => emit!(IDENTITY_WAY, way = way.name(), was, spiffe_id),
        }
    }
}

impl Source for Ways {
    fn socket(&self) -> &Path {
        &self.spire.agent_sock_path
    }

    async fn fetch(&self) -> Result<Option<Svid>, IdentityError> {
        let found = self.look().await?;
        let chosen = self.choose(&found).await?;
        match &chosen {
            Some((way, svid)) => self.tell(*way, &svid.spiffe_id),
            None => self.tell(Way::None, ""),
        }
        Ok(chosen.map(|(_, svid)| svid))
    }
}

/// The other way leads to the same agent: it would not go better.
fn is_about_the_agent(error: &IdentityError) -> bool {
    matches!(error, IdentityError::Unreachable { .. } | IdentityError::Timeout { .. })
}
