//! Worlds for the decisions alone: few images, few numbers and few names, so that everything collides.

use actors::decide::desired::{self, Candidate, Desired, FileChecks, FileVerdict, ManifestAnswer};
use actors::decide::history::{FirstLook, History};
use actors::decide::images::{ImageList, ImageRecord, Tag};
use actors::decide::live::{LiveFiles, Mounts};
use actors::decide::manifest::{ManifestError, Proof, Rootfs};
use actors::decide::pe_rules::discover;
use actors::decide::plan::change::Seen;
use actors::decide::plan::{Plan, plan};
use actors::decide::policy::Policy;
use actors::decide::reason::Reason;
use actors::decide::removals::LookTime;
use actors::decide::withdrawal::Withdrawal;
use actors::model::{
    Actual, Backstore, Cause, Etag, Identity, ImageId, Inventory, LunEntry, ObjectIndex, ObjectKey,
    ObjectMeta, RootfsLink, Saved, Snapshot, Source, Tpg, TpgPath,
};
use actors::sim::{BUCKET, MOUNT, TPG, site};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub const OTHER_TPG: &str = "iscsi/iqn.other/tpgt_1";
/// Bytes of every image.
pub const SIZE: u64 = 4096;
const KEYS: [&str; 9] = [
    "i0/rootfs",
    "i1/rootfs",
    "i2/rootfs",
    "shared/a.squashfs",
    "PE/a.squashfs",
    "PE/b.squashfs",
    "PE/x%/backstores/fileio delete y",
    "PE/../../etc/shadow",
    "i2/../../../etc/shadow",
];

/// Everything that goes into a plan.
#[derive(Clone, Debug)]
pub struct World {
    pub images: Snapshot<ImageList>,
    pub manifests: BTreeMap<ImageId, ManifestAnswer>,
    pub objects: Snapshot<Arc<ObjectIndex>>,
    pub checks: FileChecks,
    pub actual: Actual,
    pub history: History,
    pub confirm_after: u64,
    pub percent: u8,
}

/// When the plan is made: the history is before that.
pub const LOOK: LookTime = LookTime { began: Duration::from_secs(100), ended: Duration::from_secs(110) };

impl World {
    pub fn policy(&self) -> Policy {
        let policy = crate::common::policy(Duration::from_secs(self.confirm_after), self.percent);
        Policy { luns: 1..=12, ..policy }
    }

    pub fn candidates(&self) -> Vec<Candidate> {
        let Snapshot::Known(index) = &self.objects else { return Vec::new() };
        let empty = ImageList::default();
        let list = self.images.known().unwrap_or(&empty);
        let mut found = desired::rootfs_candidates(list, &self.manifests, index, &self.policy());
        found.extend(discover(index, &site(), &self.policy().pe));
        let is_live = |c: &Candidate| match &c.verdict {
            desired::Verdict::Project(p) => self.actual.is_projected(&p.identity),
            _ => true,
        };
        let checked = |c| if is_live(&c) { c } else { desired::with_file(c, &self.checks) };
        found.into_iter().map(checked).collect()
    }

    pub fn desired(&self) -> Desired {
        let mount = self.checks.cause.clone();
        let gone = self.objects.known().map(|objects| {
            let keys = KEYS.iter().map(|key| ObjectKey::new(*key)).filter(|key| !objects.contains_key(key));
            keys.collect()
        });
        Desired::new(
            &self.images,
            self.objects.clone(),
            Snapshot::Known(gone.unwrap_or_default()),
            self.candidates(),
            mount,
        )
    }

    pub fn plan(&self, confirmed: Option<&str>) -> Plan {
        self.plan_at(LOOK, confirmed)
    }

    pub fn plan_at(&self, time: LookTime, confirmed: Option<&str>) -> Plan {
        let (desired, live) = (self.desired(), LiveFiles::default());
        // The mount does not answer: what was known of it stays.
        let mounts = Mounts { opened: self.history.mounts.clone(), ..Mounts::default() };
        let seen = Seen { desired: &desired, actual: &self.actual, live: &live, mounts: &mounts, time };
        plan(seen, &self.history, &self.policy(), confirmed)
    }
}

fn cause(source_name: Source) -> Cause {
    Cause { source_name, kind: "test", detail: String::new() }
}

/// Identity of the image that this key is, under one of two ETags.
pub fn identity(key: &str, etag: &str) -> Identity {
    match key.starts_with("PE/") {
        true => Identity::of_pe(BUCKET, &ObjectKey::new(key)),
        false => Identity::of_rootfs(RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag }),
    }
}

fn etag() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("e"), 1 => Just("f")]
}

fn record() -> impl Strategy<Value = (ImageRecord, ManifestAnswer)> {
    let tag = prop_oneof![
        4 => Just(Tag::Tagged),
        2 => Just(Tag::Untagged),
        1 => Just(Tag::Unclear("?".into())),
        1 => Just(Tag::Misplaced),
    ];
    let manifest = (0_usize..9, etag(), 0_u8..12).prop_map(|(key, etag, kind)| match kind {
        0 => ManifestAnswer::Unknown(cause(Source::S3)),
        1 => ManifestAnswer::Bad(Reason::Manifest(ManifestError::NoRootfs)),
        2 => ManifestAnswer::Bad(Reason::NoLink),
        _ => {
            let (identity, key) = (
                Identity::of_rootfs(RootfsLink { path: &format!("s3://{BUCKET}/{}", KEYS[key]), etag }),
                ObjectKey::new(KEYS[key]),
            );
            ManifestAnswer::Rootfs(Rootfs {
                identity,
                key,
                etag: Etag::new(etag),
                md5: None,
                proof: Proof::None,
            })
        }
    });
    (0_u8..3, tag, manifest).prop_map(|(n, tag, manifest)| {
        let link = Some(format!("s3://{BUCKET}/i{n}/manifest.json"));
        (ImageRecord { id: ImageId::new(format!("i{n}")), name: None, link, link_etag: None, tag }, manifest)
    })
}

fn backstore() -> impl Strategy<Value = Backstore> {
    let file = prop_oneof![8 => Just(MOUNT), 1 => Just("/srv")];
    let plugin = prop_oneof![8 => Just("fileio"), 1 => Just("block")];
    let size = prop_oneof![8 => Just(SIZE), 1 => Just(512)];
    (select(&KEYS[..6]), etag(), file, plugin, size, any::<bool>(), 0_u8..10).prop_map(
        |(key, etag, folder, plugin, size, model_alias, form)| {
            let identity = identity(key, etag);
            let (mut name, mut serial) = (identity.name().to_string(), identity.wwn().to_string());
            match form {
                0 => name = "scratch".into(),
                1 => serial = "11111111-2222-3333-4444-555555555555".into(),
                _ => {}
            }
            Backstore {
                plugin: plugin.into(),
                name,
                file: format!("{folder}/{key}"),
                serial,
                size,
                model_alias,
                enabled: true,
                inode: 0,
                opened: None,
            }
        },
    )
}

/// The kernel knows each name once in its plugin, and each number once in its TPG.
fn inventory() -> impl Strategy<Value = (Vec<Backstore>, Vec<LunEntry>)> {
    let lun = (0_usize..8, 0_u16..14, prop_oneof![6 => Just(TPG), 1 => Just(OTHER_TPG)]);
    (prop::collection::vec(backstore(), 0..8), prop::collection::vec(lun, 0..10)).prop_map(|(all, links)| {
        let unique: BTreeMap<_, _> =
            all.into_iter().map(|b| ((b.plugin.clone(), b.name.clone()), b)).collect();
        let backstores: Vec<Backstore> = unique.into_values().collect();
        let luns: BTreeMap<_, _> = links
            .into_iter()
            .filter_map(|(n, lun, tpg)| {
                let Backstore { plugin, name, .. } = backstores.get(n)?.clone();
                Some(((tpg, lun), LunEntry { tpg: TpgPath::new(tpg), lun, plugin, name }))
            })
            .collect();
        (backstores, luns.into_values().collect())
    })
}

fn actual() -> impl Strategy<Value = Actual> {
    let tpg = prop_oneof![
        8 => Just(Some(Tpg { enabled: true, write_protected: true, ..Tpg::default() })),
        1 => Just(Some(Tpg { enabled: true, write_protected: false, ..Tpg::default() })),
        1 => Just(None),
    ];
    (inventory(), inventory(), tpg, 0_u8..4).prop_map(|((backstores, luns), other, tpg, saved)| {
        let live = Actual {
            tpg_path: TpgPath::new(TPG),
            tpg,
            backstores,
            luns,
            bare_luns: BTreeSet::new(),
            others: BTreeSet::new(),
            saved: Saved::Missing,
        };
        let (backstores, luns) = other;
        let other = Actual { backstores, luns, ..live.clone() }.inventory();
        let saved = match saved {
            0 => Saved::Missing,
            1 => Saved::Readable(live.inventory()),
            2 => Saved::Readable(other),
            _ => {
                let Inventory { mut backstores, mut luns, others } = live.inventory();
                backstores.extend(other.backstores);
                luns.extend(other.luns);
                Saved::Readable(Inventory { backstores, luns, others })
            }
        };
        Actual { saved, ..live }
    })
}

fn history() -> impl Strategy<Value = History> {
    let why = select(vec![
        Withdrawal::ObjectGone,
        Withdrawal::Untagged,
        Withdrawal::ImageGone,
        Withdrawal::Superseded,
        Withdrawal::NotSelected,
    ]);
    let missed = prop::collection::btree_map((select(&KEYS[..6]), etag()), (0_u64..100, why), 0..8);
    let claims = prop::collection::btree_map(0_u8..3, (select(&KEYS[..6]), etag()), 0..3);
    (missed, claims, any::<bool>()).prop_map(|(missed, claims, begun)| History {
        looks: missed
            .into_iter()
            .map(|((k, e), (s, why))| {
                (identity(k, e), FirstLook { why, key: ObjectKey::new(k), at: Duration::from_secs(s) })
            })
            .collect(),
        claims: claims
            .into_iter()
            .map(|(n, (k, e))| (ImageId::new(format!("i{n}")), BTreeSet::from([identity(k, e)])))
            .collect(),
        begun,
        ..History::default()
    })
}

fn known<T: Clone + std::fmt::Debug>(value: T, source: Source) -> impl Strategy<Value = Snapshot<T>> {
    prop_oneof![12 => Just(Snapshot::Known(value)), 1 => Just(Snapshot::Unknown(cause(source)))]
}

pub fn world() -> impl Strategy<Value = World> {
    let objects = prop::collection::btree_map(select(&KEYS[..]), etag(), 0..9);
    let bad = prop::collection::btree_set(select(&KEYS[..]), 0..3);
    let sources = (prop::collection::vec(record(), 0..5), objects, bad, 0_u8..30).prop_flat_map(
        |(records, objects, bad, odd)| {
            // An id is IMS's primary key.
            let unique: BTreeMap<_, _> = records.into_iter().map(|r| (r.0.id.clone(), r)).collect();
            let manifests = unique.iter().map(|(id, (_, manifest))| (id.clone(), manifest.clone())).collect();
            let manifests: BTreeMap<ImageId, ManifestAnswer> = manifests;
            let records = unique.into_values().map(|(record, _)| record).collect();
            let index: ObjectIndex = objects
                .iter()
                .map(|(key, etag)| {
                    (
                        ObjectKey::new(*key),
                        ObjectMeta { size: SIZE, etag: Etag::new(etag), modified: Duration::ZERO },
                    )
                })
                .collect();
            let verdict = |key: &&str| match bad.contains(key) {
                true => FileVerdict::Incomplete(Reason::File { kind: "file_absent", detail: String::new() }),
                false => FileVerdict::Complete,
            };
            let files = KEYS.iter().map(|key| (ObjectKey::new(*key), verdict(key))).collect();
            let cause = (odd == 0).then(|| cause(Source::Mount));
            let list = ImageList { records, without_id: usize::from(odd == 1) };
            let checks = FileChecks { files, cause };
            (known(list, Source::Ims), Just(manifests), known(Arc::new(index), Source::S3), Just(checks))
        },
    );
    (sources, actual(), history(), 0_u64..60, select(vec![10_u8, 50, 100])).prop_map(
        |((images, manifests, objects, checks), actual, history, confirm_after, percent)| World {
            images,
            manifests,
            objects,
            checks,
            actual,
            history,
            confirm_after,
            percent,
        },
    )
}
