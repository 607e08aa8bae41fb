//! What can happen to a site between two passes.

use actors::model::{Backstore, BareLun, LunEntry, ObjectKey, RootfsLink, Saved, TpgPath};
use actors::sim::{BUCKET, Faults, MOUNT, Sim, TPG, tpg};
use proptest::prelude::*;

/// What happens between passes, or is one.
#[derive(Clone, Debug)]
pub enum Event {
    Pass,
    ConfirmedPass,
    Restart,
    Tag(u8, bool),
    DeleteImage(u8),
    DeleteObject(u8),
    ReplaceRootfs(u8),
    BadManifest(u8),
    GoodManifest(u8),
    NameShared(u8),
    NameNasty(u8),
    PutPe(u8, u16),
    CutPe(u8),
    NastyPe(u8),
    Break(u8),
    Mend,
    Unprotect(bool),
    LoseLun(u8),
    LoseBackstore(u8),
    ForeignLun(u8),
    TwinInOtherPlugin(u8),
    TearSave,
    SaveByHand,
    /// s3fs still shows the old size of a replaced object, ...
    Stale(u8),
    /// ... refuses one object, ...
    Refuse(u8),
    /// ... or shows a symlink in its place.
    Symlink(u8),
    /// A well-formed listing leaves one object out.
    Unlist(u8),
    /// IMS says `[]`.
    LoseImages,
    /// Another process makes a backstore behind targetclid's back.
    AnotherHand(u8),
    /// A command is answered too late, and carried out.
    Late,
    /// s3fs dies and is mounted again.
    Remount,
    /// The node boots, and nothing is restored.
    Reboot,
    /// A LUN or a backstore was made half.
    HalfMade(u8),
    /// An initiator reads from a LUN.
    Read(u8),
}

pub fn event() -> impl Strategy<Value = Event> {
    let n = || 0_u8..16;
    prop_oneof![
        16 => Just(Event::Pass),
        2 => Just(Event::ConfirmedPass),
        1 => Just(Event::Restart),
        6 => (n(), any::<bool>()).prop_map(|(n, tagged)| Event::Tag(n, tagged)),
        1 => n().prop_map(Event::DeleteImage),
        2 => n().prop_map(Event::DeleteObject),
        2 => n().prop_map(Event::ReplaceRootfs),
        3 => n().prop_map(Event::BadManifest),
        1 => n().prop_map(Event::GoodManifest),
        2 => n().prop_map(Event::NameShared),
        1 => n().prop_map(Event::NameNasty),
        2 => (n(), 1_u16..8).prop_map(|(n, sectors)| Event::PutPe(n, sectors)),
        1 => n().prop_map(Event::CutPe),
        1 => n().prop_map(Event::NastyPe),
        3 => (0_u8..7).prop_map(Event::Break),
        3 => Just(Event::Mend),
        1 => any::<bool>().prop_map(Event::Unprotect),
        2 => n().prop_map(Event::LoseLun),
        1 => n().prop_map(Event::LoseBackstore),
        1 => n().prop_map(Event::ForeignLun),
        1 => n().prop_map(Event::TwinInOtherPlugin),
        1 => Just(Event::TearSave),
        1 => Just(Event::SaveByHand),
        2 => n().prop_map(Event::Stale),
        1 => n().prop_map(Event::Refuse),
        1 => n().prop_map(Event::Symlink),
        1 => n().prop_map(Event::Unlist),
        1 => Just(Event::LoseImages),
        1 => n().prop_map(Event::AnotherHand),
        1 => Just(Event::Late),
        1 => Just(Event::Remount),
        1 => Just(Event::Reboot),
        1 => n().prop_map(Event::HalfMade),
        2 => n().prop_map(Event::Read),
    ]
}

pub const IMAGES: u8 = 12;

pub fn id(n: u8) -> String {
    format!("img{:02}", n % IMAGES)
}

fn some<T: Clone>(all: &[T], n: u8) -> Option<T> {
    all.get(usize::from(n) % all.len().max(1)).cloned()
}

pub fn name_rootfs(sim: &Sim, image: &str, key: &str) {
    let etag = sim.put_squashfs(key, 4096);
    sim.put_manifest(image, RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() });
}

pub fn happen(sim: &Sim, event: &Event) {
    match event {
        Event::Pass | Event::ConfirmedPass | Event::Restart => {}
        Event::Read(n) => drop(readable(sim, *n).map(|lun| sim.read(lun.lun, 1))),
        Event::Tag(n, tagged) => sim.tag(&id(*n), *tagged),
        Event::DeleteImage(n) => sim.site().images.retain(|image| image["id"] != id(*n)),
        Event::DeleteObject(n) => {
            let mut site = sim.site();
            let keys: Vec<ObjectKey> = site.objects.keys().cloned().collect();
            some(&keys, n.wrapping_mul(5)).map(|key| site.objects.remove(&key));
        }
        Event::ReplaceRootfs(n) => {
            let key = format!("{}/rootfs", id(*n));
            let etag = sim.put_squashfs(&key, 4096 + 512 * usize::from(*n));
            sim.put_manifest(
                &id(*n),
                RootfsLink { path: &format!("s3://{BUCKET}/{key}"), etag: etag.as_str() },
            );
        }
        Event::BadManifest(n) => drop(sim.put(&format!("{}/manifest.json", id(*n)), b"{".to_vec())),
        Event::GoodManifest(n) => name_rootfs(sim, &id(*n), &format!("{}/rootfs", id(*n))),
        Event::NameShared(n) => name_rootfs(sim, &id(*n), &format!("shared/{}", n % 3)),
        Event::NameNasty(n) => {
            name_rootfs(sim, &id(*n), ["../../etc/shadow", "a b/c", "x%/y"][usize::from(n % 3)])
        }
        Event::PutPe(n, sectors) => {
            drop(sim.put_squashfs(&format!("PE/{}", n % 5), usize::from(*sectors) * 512))
        }
        Event::CutPe(n) => drop(sim.put(&format!("PE/{}", n % 5), b"hsqs".to_vec())),
        Event::NastyPe(n) => {
            drop(sim.put_squashfs(["PE/../x", "PE/a%b", "PE//c", "PE/d e"][usize::from(n % 4)], 512));
        }
        Event::Break(what) => fail(sim, *what),
        Event::Mend => mend(sim),
        Event::Unprotect(yes) => sim.site().actual.tpg.as_mut().unwrap().write_protected = !yes,
        Event::LoseLun(n) => {
            let mut site = sim.site();
            let luns: Vec<LunEntry> = site.actual.luns.clone();
            let lost = some(&luns, *n);
            site.actual.luns.retain(|lun| Some(lun) != lost.as_ref());
        }
        Event::LoseBackstore(n) => {
            // As after a boot with the mount not there yet.
            let mut site = sim.site();
            let Some(lost) = some(&site.actual.backstores, *n) else { return };
            site.actual.luns.retain(|lun| (&lun.plugin, &lun.name) != (&lost.plugin, &lost.name));
            site.actual.backstores.retain(|live| *live != lost);
        }
        Event::ForeignLun(n) => {
            let mut site = sim.site();
            let lun = u16::from(*n);
            let free = |tpg: &TpgPath| !site.actual.luns.iter().any(|l| l.tpg == *tpg && l.lun == lun);
            let tpg = if n % 2 == 0 { tpg() } else { TpgPath::new("iscsi/iqn.other/tpgt_1") };
            let target = if n % 2 == 0 {
                foreign("scratch")
            } else {
                some(&site.actual.backstores, *n).unwrap_or(foreign("scratch"))
            };
            if free(&tpg) {
                let entry = LunEntry { tpg, lun, plugin: target.plugin.clone(), name: target.name.clone() };
                site.actual.luns.push(entry);
                if !site.actual.backstores.contains(&target) {
                    site.actual.backstores.push(target);
                }
            }
        }
        Event::TwinInOtherPlugin(n) => {
            let mut site = sim.site();
            let Some(original) = some(&site.actual.backstores, *n) else { return };
            let twin = Backstore { plugin: "block".into(), file: "/dev/sdx".into(), ..original };
            if !site.actual.backstores.iter().any(|b| (&b.plugin, &b.name) == (&twin.plugin, &twin.name)) {
                site.actual.backstores.push(twin);
            }
        }
        Event::TearSave => {
            sim.site().actual.saved =
                Saved::Unreadable { why: "EOF".into(), torn: true, backup: Default::default() }
        }
        Event::Stale(n) => {
            let Some(key) = some_object(sim, *n) else { return };
            sim.site().faults.stale.insert(key, 512);
        }
        Event::Refuse(n) => drop(some_object(sim, *n).map(|key| sim.site().faults.refused.insert(key))),
        Event::Symlink(n) => drop(some_object(sim, *n).map(|key| sim.site().faults.symlinks.insert(key))),
        Event::Unlist(n) => drop(some_object(sim, *n).map(|key| sim.site().faults.unlisted.insert(key))),
        Event::LoseImages => sim.site().images.clear(),
        Event::AnotherHand(n) => sim.another_hand(|actual| {
            let theirs = foreign(&format!("theirs{n}"));
            if !actual.backstores.contains(&theirs) {
                actual.backstores.push(Backstore { file: format!("/srv/{n}.img"), ..theirs });
            }
        }),
        Event::Late => sim.site().faults.late += 1,
        Event::Remount => sim.remount(),
        Event::Reboot => sim.reboot(),
        Event::HalfMade(n) => half_made(sim, *n),
        Event::SaveByHand => {
            let mut site = sim.site();
            // targetcli cannot save while something is half made.
            if !site.actual.bare_luns.is_empty() || site.actual.backstores.iter().any(|b| !b.enabled) {
                return;
            }
            site.actual.saved = Saved::Readable(site.actual.inventory());
        }
    }
}

/// The LUN that this reader reads from.
pub fn readable(sim: &Sim, n: u8) -> Option<LunEntry> {
    let luns: Vec<LunEntry> = sim.site().actual.luns.iter().filter(|lun| lun.tpg == tpg()).cloned().collect();
    some(&luns, n)
}

fn some_object(sim: &Sim, n: u8) -> Option<ObjectKey> {
    let keys: Vec<ObjectKey> = sim.site().objects.keys().cloned().collect();
    some(&keys, n.wrapping_mul(7))
}

/// Of ours: the last LUN loses its link, or the last backstore its serial. What targetclid leaves when it is killed.
fn half_made(sim: &Sim, n: u8) {
    let mut site = sim.site();
    let Some(lun) =
        site.actual.luns.iter().rev().find(|lun| lun.tpg == tpg() && lun.name.len() == 15).cloned()
    else {
        return;
    };
    site.actual.luns.retain(|live| *live != lun);
    if n.is_multiple_of(2) {
        site.actual.bare_luns.insert(BareLun { folder: TPG.into(), lun: lun.lun });
    } else if site.actual.luns_of_fileio(&lun.name).next().is_none() {
        let half = site.actual.backstores.iter_mut().filter(|b| b.plugin == "fileio" && b.name == lun.name);
        half.for_each(|b| (b.enabled, b.serial, b.size) = (false, String::new(), 0));
    }
}

fn foreign(name: &str) -> Backstore {
    let (file, serial) = (format!("{MOUNT}/{name}.img"), "1111-2222".into());
    Backstore {
        plugin: "fileio".into(),
        name: name.into(),
        file,
        serial,
        size: 4096,
        model_alias: true,
        enabled: true,
        inode: 0,
        opened: None,
    }
}

fn fail(sim: &Sim, what: u8) {
    let mut site = sim.site();
    match what {
        0 => site.faults.ims = true,
        1 => site.faults.listing = true,
        2 => site.faults.mount = true,
        3 => site.faults.configfs = true,
        4 => site.faults.targetclid = true,
        5 => site.images.push(serde_json::json!({"name": "who?"})),
        _ => site.faults.unreadable = site.objects.keys().cloned().collect(),
    }
}

pub fn mend(sim: &Sim) {
    let mut site = sim.site();
    site.faults = Faults::default();
    site.images.retain(|image| image["id"].is_string());
}
