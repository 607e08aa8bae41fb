//! The status of a node whose agent does not answer: what configfs and saveconfig.json show, with what the agent
//! remembered last. Nothing is changed, and neither targetclid nor IMS nor S3 is asked.

use super::document::{Document, SCHEMA};
use super::projections::{self, Remembered};
use crate::aside::Aside;
use crate::boot;
use crate::config::{self, Settings};
use crate::history;
use crate::lio::{LioAdapter, SettingError};
use crate::run::site;
use crate::version::VERSION;
use actors::decide::history::History;
use actors::model::{Actual, Boot, Site};
use actors::ports::{LioError, LioPort};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For all of configfs, which has some files for each LUN: thousands of them are read in a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Why nothing can be said of the node.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// What is configured cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// LIO cannot be seen.
    #[error("LIO cannot be read; `sbps-marshal check` says what is missing")]
    Lio(#[from] LioError),
    /// A read of configfs hangs.
    #[error("LIO does not answer: see `dmesg`")]
    Late(#[source] io::Error),
}

/// All that can be seen of this node.
pub async fn without_agent(settings: &Settings) -> Result<Document, StatusError> {
    let settings = settings.clone();
    // The kernel may hang in what is read, and whoever reads hangs with it.
    Aside::default().ask(LIMIT, move || offline(&settings)).await.map_err(StatusError::Late)?
}

fn offline(settings: &Settings) -> Result<Document, StatusError> {
    let actual = LioAdapter::new(&settings.lio)?.observe()?;
    Ok(document(&actual, &site(settings), &remembered(settings)))
}

/// What the agent stored last. It knows ETags and which image is whose; without it, they are not known.
fn remembered(settings: &Settings) -> History {
    let stored = history::read(&settings.state_dir.join(history::FILE)).ok().flatten();
    let boot = Boot { id: boot::id(), since: boot::since() };
    let history = stored.map(|bytes| History::from_bytes(&bytes, &boot, settings.guard.window));
    history.and_then(Result::ok).unwrap_or_default()
}

fn document(actual: &Actual, site: &Site, history: &History) -> Document {
    // Only IMS knows the names.
    let names = BTreeMap::new();
    let projections =
        projections::live(actual, site, Remembered { history, names: &names, tpg: actual.tpg.as_ref() });
    let sessions = actual.tpg.iter().flat_map(|tpg| tpg.sessions.iter().cloned());
    Document {
        schema: SCHEMA,
        node: config::hostname(),
        iqn: actual.iqn().to_owned(),
        version: VERSION.into(),
        taken: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        agent: None,
        map_digest: projections::map_digest(&projections),
        projections,
        conditions: Vec::new(),
        portals: projections::portals(actual),
        sessions: sessions.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use actors::model::{Etag, Identity, ImageId, RootfsLink};
    use std::path::Path;
    use support::configfs::Tree;

    const FILE: &str = "/var/lib/cps-local/boot-images/id/rootfs";

    fn settings(folder: &Path) -> Settings {
        let flag = |key: &str, value: &str| format!("{key}={value}").parse().unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let flags = vec![
            flag("lio.configfs", &path("configfs")),
            flag("lio.save_file", &path("saveconfig.json")),
            flag("lio.iqn", "iqn.2023-06.csm.iscsi:vm1"),
            flag("state_dir", &path("state")),
        ];
        load(&Sources { flags, ..Sources::default() }).unwrap().settings
    }

    #[tokio::test]
    async fn a_node_without_an_agent_shows_what_is_live_and_what_was_remembered_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::of_rootfs(RootfsLink { path: "s3://boot-images/id/rootfs", etag: "e-1" });
        let (name, tpg) = (identity.name(), "iscsi/iqn.2023-06.csm.iscsi:vm1/tpgt_1");
        let backstore = format!("core/fileio_9/{name}");
        let serial = format!("T10 VPD Unit Serial Number: {identity}\n");
        let lun = format!("{tpg}/lun/lun_14");
        Tree::recorded()
            .with(&format!("{backstore}/udev_path"), FILE)
            .with(&format!("{backstore}/wwn/vpd_unit_serial"), &serial)
            .with(&format!("{backstore}/enable"), "1\n")
            .with(&format!("{backstore}/attrib/emulate_model_alias"), "1\n")
            .with(&format!("{backstore}/info"), &format!("File: {FILE}  Size: 8192  Mode: O_DSYNC\n"))
            .with(&format!("{lun}/x"), &format!("-> ../../../../../../target/{backstore}"))
            .with(&format!("{lun}/statistics/scsi_tgt_port/in_cmds"), "7\n")
            .with(&format!("{lun}/statistics/scsi_tgt_port/read_mbytes"), "3\n")
            .grow(&folder.path().join("configfs"));
        let settings = settings(folder.path());

        let document = without_agent(&settings).await.unwrap();
        assert_eq!((document.agent, document.schema), (None, SCHEMA));
        assert_eq!(
            (document.iqn.as_str(), document.portals),
            ("iqn.2023-06.csm.iscsi:vm1", vec!["127.0.0.1:3260".to_owned()])
        );
        // What others have made is none of our images.
        let [image] = &document.projections[..] else { panic!("{:?}", document.projections) };
        assert_eq!((image.lun, image.wwn.as_deref()), (Some(14), Some(identity.wwn().as_str())));
        assert_eq!(
            (image.state.as_str(), image.kind.as_str(), image.image_id.as_str()),
            ("live", "rootfs", "id")
        );
        assert_eq!(
            (image.size_bytes, image.commands, image.read_bytes),
            (Some(8192), Some(7), Some(3 << 20))
        );
        assert_eq!(image.etag, None, "nobody has remembered it");

        let mut history = History::default();
        history.contents.insert(identity.clone(), Etag::new("e-1"));
        history.claims.insert(ImageId::new("another"), [identity].into());
        let boot = Boot { id: boot::id(), since: boot::since() };
        std::fs::create_dir(&settings.state_dir).unwrap();
        std::fs::write(settings.state_dir.join(history::FILE), history.to_bytes(&boot).unwrap()).unwrap();
        let document = without_agent(&settings).await.unwrap();
        let image = &document.projections[0];
        assert_eq!((image.etag.as_deref(), image.image_id.as_str()), (Some("e-1"), "another"));
    }

    #[tokio::test]
    async fn a_node_whose_lio_cannot_be_read_is_an_error_and_not_a_node_without_images() {
        let folder = tempfile::tempdir().unwrap();
        let error = without_agent(&settings(folder.path())).await.unwrap_err();
        assert!(matches!(error, StatusError::Lio(_)), "{error}");
        assert!(error.to_string().contains("sbps-marshal check"));
    }
}
