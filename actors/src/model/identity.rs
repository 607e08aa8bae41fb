//! Names and serials, made and recognised. Pure.
//!
//! Bit-exact with the predecessor (fixtures/identity-vectors.json): compute nodes recompute these hashes and wait for
//! exactly this product name and WWID, so nothing here may ever change.

use super::object::ObjectKey;
use super::word::Word;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha224};
use std::fmt;

/// Length of a backstore name, and of the SCSI product that initiators look for (hex digits).
pub const NAME_DIGITS: usize = 15;
/// Length of the unit serial, "wwn" in saveconfig.json (hex digits).
pub const WWN_DIGITS: usize = 31;
/// How much of the serial the kernel keeps in the NAA identifier (hex digits, facts 3.7).
const NAA_DIGITS: usize = 25;

/// Who a projection is to an initiator: the first 31 hex digits of a SHA-224.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity(Word);

/// `link` of a root file system in its manifest, letter by letter: both are hashed as they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootfsLink<'a> {
    /// `s3://bucket/key`.
    pub path: &'a str,
    /// With or without quotes, as it is there.
    pub etag: &'a str,
}

impl From<Identity> for String {
    fn from(identity: Identity) -> String {
        identity.0.to_string()
    }
}

/// As it is stored: the unit serial.
impl TryFrom<String> for Identity {
    type Error = String;

    fn try_from(wwn: String) -> Result<Self, String> {
        Identity::of_serial(&wwn).ok_or_else(|| format!("{wwn:?} is no unit serial of ours"))
    }
}

impl Identity {
    /// Identity of a PE image: of its S3 path alone, so that its name can be computed without asking S3.
    pub fn of_pe(bucket: &str, key: &ObjectKey) -> Self {
        Self::hash(&format!("s3://{bucket}/{key}"))
    }

    /// Identity of a root file system.
    pub fn of_rootfs(link: RootfsLink<'_>) -> Self {
        Self::hash(&format!("{}|{}", link.path, link.etag))
    }

    /// The identity a backstore carries, if its serial has our form: 31 lower hex digits.
    pub fn of_serial(serial: &str) -> Option<Self> {
        let is_hex = serial.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let word = Word::try_from(serial).ok().filter(|_| is_hex && serial.len() == WWN_DIGITS);
        word.map(Identity)
    }

    /// Backstore name and SCSI product: 15 hex digits.
    pub fn name(&self) -> Word {
        self.head(NAME_DIGITS)
    }

    /// Unit serial: 31 hex digits.
    pub fn wwn(&self) -> &Word {
        &self.0
    }

    /// The WWID by which an initiator's multipath knows the device.
    pub fn initiator_wwid(&self) -> String {
        format!("36001405{}", self.head(NAA_DIGITS))
    }

    /// Its first 8 digits, as a number: where the search for a LUN number starts is made of it (R5).
    pub fn leading_number(&self) -> u32 {
        u32::from_str_radix(self.head(8).as_str(), 16).unwrap_or_default()
    }

    /// The text of [`Identity::name`], without a copy: it is compared by the thousand in each pass.
    pub fn name_str(&self) -> &str {
        &self.0.as_str()[..NAME_DIGITS]
    }

    fn hash(text: &str) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digest = Sha224::digest(text.as_bytes());
        let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        let hex: String =
            nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).take(WWN_DIGITS).collect();
        Identity(Word::of_hex(&hex))
    }

    fn head(&self, digits: usize) -> Word {
        Word::of_hex(&self.0.as_str()[..digits])
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Vec<serde_json::Value> {
        let file = include_str!("../../../fixtures/identity-vectors.json");
        let parsed: serde_json::Value = serde_json::from_str(file).unwrap();
        parsed["vectors"].as_array().unwrap().clone()
    }

    fn of_vector(vector: &serde_json::Value) -> Identity {
        let input = vector["input"].as_str().unwrap();
        match input.split_once('|') {
            Some((path, etag)) => Identity::of_rootfs(RootfsLink { path, etag }),
            None => {
                let key = ObjectKey::new(input.strip_prefix("s3://boot-images/").unwrap());
                Identity::of_pe("boot-images", &key)
            }
        }
    }

    #[test]
    fn every_recorded_identity_is_reproduced_digit_by_digit() {
        assert_eq!(vectors().len(), 7);
        for vector in vectors() {
            let identity = of_vector(&vector);
            assert_eq!(identity.name().as_str(), vector["name"]);
            assert_eq!(identity.wwn().as_str(), vector["wwn"]);
            assert_eq!(identity.initiator_wwid(), vector["initiator_wwid"].as_str().unwrap());
        }
    }

    #[test]
    fn what_we_made_is_recognised_again() {
        for vector in vectors() {
            let identity = of_vector(&vector);
            assert_eq!(Identity::of_serial(identity.wwn().as_str()), Some(identity));
        }
    }
}
