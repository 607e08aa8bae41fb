//! How each projection of ours stands, and on what evidence it may go (R2). Pure.

use crate::decide::desired::{Candidate, Desired, Verdict};
use crate::decide::history::{History, MOST_CLAIMS};
use crate::decide::reason::Reason;
use crate::decide::withdrawal::Withdrawal;
use crate::model::{Identity, ImageId, ImageRef, Kind, Ours, Projection};
use std::collections::{BTreeMap, BTreeSet};

/// How a projection of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It should be there.
    Wanted,
    /// An image that is pending, or unknown, may mean it; or nobody could say that it is gone.
    Claimed(String),
    /// Nothing wants it, and this is why.
    Gone(Withdrawal),
}

/// What each image may mean: what it names now and, until that can be projected and the rest is gone, what it named.
pub fn claims(
    desired: &Desired,
    before: &History,
    ours: &BTreeSet<Identity>,
) -> BTreeMap<ImageId, BTreeSet<Identity>> {
    let mut claims = BTreeMap::new();
    for (id, candidate) in rootfs_of(desired) {
        let mut meant = before.claims.get(id).cloned().unwrap_or_default();
        meant.extend(named(candidate).cloned());
        if meant.len() > MOST_CLAIMS {
            meant.retain(|identity| ours.contains(identity) || named(candidate) == Some(identity));
        }
        if !meant.is_empty() {
            claims.insert(id.clone(), meant);
        }
    }
    for (id, meant) in &before.claims {
        if claims.contains_key(id) {
            continue;
        }
        let kept: BTreeSet<Identity> = match desired.unknown.is_empty() {
            // An image that was not seen now may come back unreadable.
            false => meant.clone(),
            // As long as what it named is there, a look at the tags that sees it wanted after all has to know that it
            // is meant (R2).
            true => meant.intersection(ours).cloned().collect(),
        };
        if !kept.is_empty() {
            claims.insert(id.clone(), kept);
        }
    }
    claims
}

/// Images of which nobody knows what they named before this history began: they were unreadable then, and are still.
pub fn never_read(desired: &Desired, before: &History) -> BTreeSet<ImageId> {
    if !desired.unknown.is_empty() {
        return before.never_read.clone();
    }
    let unread = rootfs_of(desired).filter(|(_, candidate)| is_unreadable(candidate));
    let unread = unread.map(|(id, _)| id.clone());
    unread.filter(|id| !before.begun || before.never_read.contains(id)).collect()
}

fn rootfs_of(desired: &Desired) -> impl Iterator<Item = (&ImageId, &Candidate)> {
    desired.candidates.iter().filter_map(|candidate| Some((candidate.image.id()?, candidate)))
}

/// It should name something, and what cannot be read.
fn is_unreadable(candidate: &Candidate) -> bool {
    match &candidate.verdict {
        Verdict::Pending { claims: None, reason } => *reason != Reason::NoLink,
        Verdict::Unknown { claims: None, .. } => true,
        _ => false,
    }
}

fn named(candidate: &Candidate) -> Option<&Identity> {
    match &candidate.verdict {
        Verdict::Project(projection) => Some(&projection.identity),
        Verdict::Pending { claims, .. } | Verdict::Unknown { claims, .. } => claims.as_ref(),
    }
}

/// Whether an image that is wanted names, or may name, this projection, which is not live.
pub fn may_be_wanted(identity: &Identity, desired: &Desired, history: &History) -> bool {
    let names = |candidate: &Candidate| named(candidate) == Some(identity);
    !desired.unknown.is_empty()
        || !history.never_read.is_empty()
        || desired.candidates.iter().any(names)
        || rootfs_of(desired)
            .any(|(id, _)| history.claims.get(id).is_some_and(|meant| meant.contains(identity)))
}

/// What the sources say now, and what each image may mean: all that decides how a projection stands. Only where every
/// source has answered.
#[derive(Clone, Copy)]
pub struct Claims<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// With the claims of this pass.
    pub history: &'a History,
}

impl<'a> Claims<'a> {
    /// How this projection stands.
    pub fn standing(&self, ours: &Ours) -> Standing {
        let Ours { identity, key, .. } = ours;
        let desired = self.desired;
        if desired.projected.contains(identity) {
            return Standing::Wanted;
        }
        if desired.objects.known().is_none_or(|objects| !objects.contains_key(key)) {
            return match desired.gone.contains(key) {
                true => Standing::Gone(Withdrawal::ObjectGone),
                false => Standing::Claimed("the listing alone says that it is gone".into()),
            };
        }
        let kind = ours.kind();
        match desired.candidates.iter().find(|candidate| self.may_mean(candidate, ours, kind)) {
            Some(claimant) => Standing::Claimed(claimant.image.to_string()),
            None => Standing::Gone(self.evidence(ours, kind)),
        }
    }

    /// Whether an image that cannot be projected now may mean this projection (R2).
    fn may_mean(&self, candidate: &Candidate, ours: &Ours, kind: Kind) -> bool {
        if matches!(candidate.verdict, Verdict::Project(_)) {
            return false;
        }
        let ImageRef::Rootfs(id) = &candidate.image else {
            return named(candidate) == Some(&ours.identity);
        };
        let is_pe = kind == Kind::Pe;
        let no_link = matches!(&candidate.verdict, Verdict::Pending { reason: Reason::NoLink, .. });
        let in_its_folder = !is_pe && *id == folder_of(ours);
        in_its_folder
            || match self.history.claims.get(id) {
                Some(meant) => meant.contains(&ours.identity),
                // Its manifest was never read. It may mean a projection whose folder has no IMS record, or any
                // projection at all if this history began after the image became unreadable.
                None if is_pe || no_link => false,
                None => {
                    self.history.never_read.contains(id) || !self.desired.listed.contains(&folder_of(ours))
                }
            }
    }

    /// Why a projection that is not wanted, not claimed, and still has its object is gone.
    fn evidence(&self, ours: &Ours, kind: Kind) -> Withdrawal {
        if kind == Kind::Pe {
            Withdrawal::NotSelected
        } else if self.successors(ours).next().is_some() {
            Withdrawal::Superseded
        } else if self.desired.listed.contains(&folder_of(ours)) {
            Withdrawal::Untagged
        } else {
            Withdrawal::ImageGone
        }
    }

    /// What has to be a LUN before this superseded projection may go: else its image would have none at all.
    pub fn successors(&self, ours: &'a Ours) -> impl Iterator<Item = &'a Projection> + use<'a> {
        let (folder, history) = (folder_of(ours), self.history);
        let is_its = move |id: &ImageId| {
            *id == folder || history.claims.get(id).is_some_and(|meant| meant.contains(&ours.identity))
        };
        rootfs_of(self.desired).filter_map(move |(id, candidate)| match &candidate.verdict {
            Verdict::Project(projection) if is_its(id) => Some(projection),
            _ => None,
        })
    }
}

/// The image whose folder holds it.
fn folder_of(ours: &Ours) -> ImageId {
    ImageId::new(ours.key.folder())
}

/// What an operator calls it: the image that names it or has its folder, or the PE key.
pub fn image_of(ours: &Ours, history: &History) -> ImageRef {
    if ours.kind() == Kind::Pe {
        return ImageRef::Pe(ours.key.clone());
    }
    let folder = folder_of(ours);
    let means = |meant: &BTreeSet<Identity>| meant.contains(&ours.identity);
    if history.claims.get(&folder).is_some_and(means) {
        return ImageRef::Rootfs(folder);
    }
    let claimant = history.claims.iter().find(|(_, meant)| means(meant));
    ImageRef::Rootfs(claimant.map_or(folder, |(claimant, _)| claimant.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, RootfsLink, Snapshot, Source};

    fn named(number: usize) -> Identity {
        Identity::of_rootfs(RootfsLink { path: &format!("s3://boot-images/{number}"), etag: "e" })
    }

    fn many(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<Identity> {
        numbers.into_iter().map(named).collect()
    }

    fn image() -> ImageId {
        ImageId::new("i")
    }

    fn cause() -> Cause {
        Cause { source_name: Source::S3, kind: "timeout", detail: String::new() }
    }

    fn pending(claims: Option<Identity>, reason: Reason) -> Verdict {
        Verdict::Pending { claims, reason }
    }

    /// One wanted image.
    fn desired(verdict: Verdict) -> Desired {
        let candidates = vec![Candidate { image: ImageRef::Rootfs(image()), verdict }];
        Desired {
            candidates,
            unknown: Vec::new(),
            objects: Snapshot::Unknown(cause()),
            projected: BTreeSet::new(),
            gone: BTreeSet::new(),
            listed: BTreeSet::from([image()]),
            nothing_listed: false,
        }
    }

    fn history(meant: BTreeSet<Identity>) -> History {
        History { claims: BTreeMap::from([(image(), meant)]), begun: true, ..History::default() }
    }

    #[test]
    fn r2_an_image_may_mean_eight_and_of_more_only_what_is_ours_and_what_it_names_now() {
        let desired = desired(pending(Some(named(0)), Reason::NoLink));
        let meant = |before, ours| claims(&desired, &history(many(before)), &many(ours))[&image()].clone();
        assert_eq!(meant(1..MOST_CLAIMS, 0..0), many(0..MOST_CLAIMS));
        assert_eq!(meant(1..MOST_CLAIMS + 1, 5..6), many([0, 5]));
    }

    #[test]
    fn r2_only_an_image_that_should_name_something_and_cannot_be_read_has_never_been_read() {
        let unread = |verdict| !never_read(&desired(verdict), &History::default()).is_empty();
        assert!(unread(Verdict::Unknown { claims: None, cause: cause() }));
        assert!(unread(pending(None, Reason::LinkUnusable("?".into()))));
        assert!(!unread(pending(None, Reason::NoLink)));
        assert!(!unread(pending(Some(named(0)), Reason::NoLink)));
        assert!(!unread(Verdict::Unknown { claims: Some(named(0)), cause: cause() }));
    }

    #[test]
    fn r5_what_no_wanted_image_can_mean_may_not_be_wanted() {
        let may = |desired: &Desired, history: &History| may_be_wanted(&named(0), desired, history);
        let (other, meant_before) = (desired(pending(Some(named(1)), Reason::NoLink)), history(many([0])));
        assert!(!may(&other, &history(many([1]))));
        assert!(
            may(&other, &meant_before)
                && may(&desired(pending(Some(named(0)), Reason::NoLink)), &history(many([])))
        );
        assert!(may(&Desired { unknown: vec![cause()], ..other.clone() }, &history(many([]))));
        let never_read = BTreeSet::from([image()]);
        assert!(may(&other, &History { never_read, ..history(many([])) }));
        assert!(
            !may(&Desired { candidates: Vec::new(), ..other }, &meant_before),
            "nobody wants it any more"
        );
    }
}
