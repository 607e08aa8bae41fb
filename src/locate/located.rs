//! All that can be said of one image: what it is here, and what it is to whoever uses it.

use super::multipath::{self, Multipath};
use super::refusal::{Offer, Refusal};
use super::volume::{self, Volume};
use crate::status::Document;
use crate::status::document::Projected;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// What the kernel says of itself to initiators.
const VENDOR: &str = "LIO-ORG";
/// The last LUN number that udev writes as such (facts 3.10).
const LAST_PLAIN_LUN: u16 = 255;

/// One image of one node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Located {
    /// The node's host name.
    pub node: String,
    /// Of the target.
    pub iqn: String,
    /// The image, as the status has it.
    #[serde(flatten)]
    pub image: Projected,
    /// Where initiators log in.
    pub portals: Vec<String>,
    /// The initiators that are logged in to the target. All of them see this LUN, unless it has node ACLs.
    pub sessions: Vec<String>,
    /// How it appears on an initiator.
    pub seen: Offer<Seen>,
    /// The kernel command lines that boot it, one for each portal.
    pub dracut: Offer<Vec<String>>,
    /// What multipath is to call it.
    pub multipath: Offer<Multipath>,
    /// PersistentVolume and claim.
    pub volume: Offer<Volume>,
}

/// How a LUN appears on an initiator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// `LIO-ORG`
    pub vendor: String,
    /// The backstore's name; with the vendor, what `lsscsi` shows.
    pub product: String,
    /// Device paths that follow from the identity alone; with several paths to it, of any of them.
    pub by_id: Vec<String>,
    /// The device path of the multipath map, whose name needs no alias.
    pub by_map: String,
    /// Device paths that follow from portal, target and LUN number. A node ACL may map the LUN under another number.
    pub by_path: Vec<String>,
}

/// What is asked of an image that is a LUN.
pub(super) struct Lun<'a> {
    pub node: &'a str,
    pub iqn: &'a str,
    pub image: &'a Projected,
    pub number: u16,
    pub key: &'a str,
    pub name: &'a str,
    pub wwid: &'a str,
    /// Those that name an address.
    pub portals: Vec<SocketAddr>,
    /// All of them.
    all_portals: &'a [String],
}

impl Located {
    /// Of this image of the document.
    pub fn new(document: &Document, image: &Projected) -> Self {
        let lun = || Lun::of(document, image);
        Located {
            node: document.node.clone(),
            iqn: document.iqn.clone(),
            image: image.clone(),
            portals: document.portals.clone(),
            sessions: document.sessions.clone(),
            seen: lun().map(|lun| lun.seen()).into(),
            dracut: lun().and_then(|lun| lun.command_lines()).into(),
            multipath: lun().and_then(|lun| multipath::of(&lun)).into(),
            volume: lun().and_then(|lun| volume::of(&lun)).into(),
        }
    }
}

impl<'a> Lun<'a> {
    fn of(document: &'a Document, image: &'a Projected) -> Result<Self, Refusal> {
        let named = (image.lun, &image.key, &image.name, &image.wwid);
        let (Some(number), Some(key), Some(name), Some(wwid)) = named else {
            let (state, reason) = (image.state.clone(), image.reason.clone());
            return Err(Refusal::NoLun { state, reason });
        };
        let addresses = document.portals.iter().filter_map(|portal| portal.parse::<SocketAddr>().ok());
        let portals = addresses.filter(|address| !address.ip().is_unspecified()).collect();
        let (node, iqn, all_portals) = (&document.node, &document.iqn, &document.portals);
        Ok(Lun { node, iqn, image, number, key, name, wwid, portals, all_portals })
    }

    /// The portals that name an address, of which a consumer needs one at least.
    pub fn addresses(&self) -> Result<&[SocketAddr], Refusal> {
        match self.portals[..] {
            [] => Err(Refusal::NoPortal { portals: self.all_portals.to_vec() }),
            ref portals => Ok(portals),
        }
    }

    fn seen(&self) -> Seen {
        let Lun { iqn, wwid, .. } = self;
        let lun = udev_lun(self.number);
        let by_path = |portal: &SocketAddr| {
            // An IPv6 address without its brackets (facts 3.10).
            format!("/dev/disk/by-path/ip-{}:{}-iscsi-{iqn}-lun-{lun}", portal.ip(), portal.port())
        };
        Seen {
            vendor: VENDOR.into(),
            product: self.name.into(),
            by_id: vec![self.by_id(), format!("/dev/disk/by-id/wwn-0x{}", wwid.get(1..).unwrap_or_default())],
            by_map: format!("/dev/disk/by-id/dm-uuid-mpath-{wwid}"),
            by_path: self.portals.iter().map(by_path).collect(),
        }
    }

    fn by_id(&self) -> String {
        format!("/dev/disk/by-id/scsi-{}", self.wwid)
    }

    /// Of stock dracut, 052 or later: the LUN is found by its WWID, so its number does not matter. No name of the initiator:
    /// many nodes boot with one command line, and dracut makes one for each. Of several portals any one will do.
    fn command_lines(&self) -> Result<Vec<String>, Refusal> {
        let (root, iqn) = (word(self.by_id())?, word(self.iqn.to_owned())?);
        let line = |portal: &SocketAddr| {
            let (host, ip) = match portal.ip() {
                IpAddr::V4(address) => (address.to_string(), "dhcp"),
                IpAddr::V6(address) => (format!("[{address}]"), "dhcp6"),
            };
            let port = portal.port();
            format!(
                "root=live:{root} netroot=iscsi:{host}::{port}::{iqn} rd.neednet=1 ip={ip} \
                 rd.live.overlay.overlayfs=1 ro"
            )
        };
        Ok(self.addresses()?.iter().map(line).collect())
    }
}

/// What the kernel does not split. No key gets here: the root is named by its WWID.
fn word(text: String) -> Result<String, Refusal> {
    match text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\')) {
        true => Ok(text),
        false => Err(Refusal::Word { word: text }),
    }
}

/// As in `/dev/disk/by-path`: 14 is `14`, 300 is `0x012c000000000000`.
fn udev_lun(number: u16) -> String {
    match number {
        ..=LAST_PLAIN_LUN => number.to_string(),
        _ => format!("0x{number:04x}000000000000"),
    }
}
