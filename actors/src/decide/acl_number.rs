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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m15_an_acl_keeps_a_number_gets_the_luns_own_or_the_lowest_free_one() {
        let taken = BTreeSet::from([0, 21]);
        assert_eq!(acl_number(12, Some(7), &taken), Some(7));
        assert_eq!(acl_number(12, Some(21), &taken), Some(12), "it is taken");
        assert_eq!(acl_number(12, Some(256), &taken), Some(12), "it is none");
        assert_eq!(acl_number(255, None, &taken), Some(255));
        assert_eq!(acl_number(256, None, &taken), Some(1));
        assert_eq!(acl_number(12, None, &(0..=255).collect()), None);
    }
}
