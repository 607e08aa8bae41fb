//! Under which number a node ACL sees a LUN. Pure.

use std::collections::BTreeSet;

/// The greatest number that rtslib maps to a node ACL.
const LAST: u16 = 255;

/// The number under which an ACL that has these `taken` gets this LUN: the one it had `before`, for its initiator knows
/// the LUN by it; the LUN's own; or the lowest that is free. `None` if none is.
pub fn acl_number(lun: u16, before: Option<u16>, taken: &BTreeSet<u16>) -> Option<u16> {
    let mut numbers = before.into_iter().chain([lun]).chain(0..=LAST);
    numbers.find(|number| *number <= LAST && !taken.contains(number))
}
