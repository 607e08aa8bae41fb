//! The five actors, started over whatever ports they are given: real or simulated is the caller's choice.

use crate::decide::cadence::Cadence;
use crate::decide::history::History;
use crate::decide::pe_rules::PeRules;
use crate::decide::policy::Rules;
use crate::decide::status::Status;
use crate::ims::Ims;
use crate::lio::{EndSession, Lio};
use crate::mount::{LookAgain, Pe};
use crate::ports::{HistoryPort, ImsPort, LioPort, MountPort, S3Port, TokenPort};
use crate::reconciler::gather::Sources;
use crate::reconciler::store::Store;
use crate::reconciler::{Outfit, Reconciler};
use crate::s3::{Manifests, S3};
use actix::prelude::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;

/// The outside.
pub struct Ports<I, T, S, M, H, F> {
    /// IMS.
    pub ims: I,
    /// Bearer tokens.
    pub tokens: T,
    /// S3.
    pub s3: S,
    /// The mount.
    pub mount: M,
    /// What is remembered over a restart.
    pub history: H,
    /// Makes the LIO port on the thread it will live on.
    pub lio: F,
}

/// What one cast hands to the next, so that a reload forgets nothing.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Manifests that have been read.
    pub(crate) manifests: Manifests,
    /// What the reconciler remembers.
    pub(crate) history: Rc<RefCell<Option<History>>>,
    /// Number of the last pass.
    pub(crate) scan_id: Rc<Cell<u64>>,
}

/// The actors, alive.
pub struct Cast {
    /// To be asked for passes.
    pub reconciler: Addr<Reconciler>,
    /// How things are, after each pass.
    pub status: watch::Receiver<Status>,
    end_session: Recipient<EndSession>,
    stop: watch::Sender<bool>,
}

impl Cast {
    /// Starts them. With a cadence the reconciler passes by itself, at once for the first time.
    pub fn start<I, T, S, M, H, L, F>(
        ports: Ports<I, T, S, M, H, F>,
        rules: Rules,
        pe_suffix: String,
        cadence: Option<Cadence>,
        kept: &Kept,
    ) -> Self
    where
        I: ImsPort,
        T: TokenPort,
        S: S3Port,
        M: MountPort,
        H: HistoryPort,
        L: LioPort + Unpin,
        F: Fn() -> L + Send + Sync + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let status = Status { scan_id: kept.scan_id.get(), ..Status::default() };
        let (status_sender, status) = watch::channel(status);
        let pe_rules = PeRules {
            bucket: rules.policy.bucket.clone(),
            mount: rules.policy.mount.clone(),
            prefix: rules.pe_prefix.clone(),
            suffix: pe_suffix,
        };
        let ims = Ims::new(ports.ims, ports.tokens).start();
        let s3 = S3::new(ports.s3, &rules.policy.bucket, kept.manifests.clone()).start();
        let pe = Pe::new(pe_rules, ports.mount).start();
        let progress = Arc::new(AtomicU64::new(0));
        let (make_lio, lio_stopped, counted) = (ports.lio, stopped.clone(), progress.clone());
        let (files, mount): (Recipient<LookAgain>, Arc<str>) =
            (pe.clone().recipient(), rules.policy.mount.as_str().into());
        // One thread: the session is strictly serial.
        let lio = SyncArbiter::start(1, move || {
            Lio::new(make_lio(), lio_stopped.clone(), files.clone(), counted.clone(), mount.clone())
        });
        let sources = Sources {
            ims: ims.recipient(),
            list: s3.clone().recipient(),
            gone: s3.clone().recipient(),
            manifests: s3.clone().recipient(),
            md5: s3.recipient(),
            discover: pe.clone().recipient(),
            check: pe.clone().recipient(),
            examine: pe.recipient(),
            observe: lio.clone().recipient(),
            apply: lio.clone().recipient(),
            knock: lio.clone().recipient(),
        };
        let (store, kept) = (Store::new(ports.history), kept.clone());
        let outfit = Outfit { cadence, stop: stopped, status: status_sender, store, kept, progress };
        let reconciler = Reconciler::new(sources, rules, outfit).start();
        Cast { reconciler, status, end_session: lio.recipient(), stop }
    }

    /// Finishes the step under way, begins no other, and ends the session; gives up after `deadline`. Whether the
    /// session was ended in time.
    pub async fn stop(self, deadline: Duration) -> bool {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(deadline, self.end_session.send(EndSession)).await;
        matches!(ended, Ok(Ok(())))
    }
}
