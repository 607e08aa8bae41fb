//! Which files of a pass are opened and read, what a failure says of the mount, and when the mount is left alone (R14).
//! Pure.

use crate::decide::desired::{FileVerdict, file_verdict};
use crate::decide::live::FileQuery;
use crate::decide::reason::Reason;
use crate::model::{Cause, Etag, FileFacts, ObjectKey, Source};
use std::collections::{BTreeMap, BTreeSet};

/// So many files may be refused in one pass before the mount is left alone.
const MOST_REFUSED: usize = 32;

/// What is not looked at again, and what is looked at last.
#[derive(Debug, Default)]
pub struct KnownFiles {
    /// Objects that are no images, whatever happens: until they have another ETag.
    never: BTreeMap<ObjectKey, (Etag, Reason)>,
    /// Objects that the mount has refused since they are asked for.
    refused: BTreeSet<ObjectKey>,
}

/// Why a file could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// It concerns this file alone for sure.
    OfFile(Reason),
    /// The mount refuses it, or has failed itself.
    Refused(Cause),
    /// No answer came in time.
    Hung(Cause),
}

/// What a failure means for the rest of the pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    ThisFile(FileVerdict),
    /// Nothing, as long as the mount itself still answers: whoever may write to the bucket holds up nothing but what he
    /// wrote.
    ThisFileIfMounted(FileVerdict),
    /// The mount is not asked again: what hangs once may hang each time.
    WholeMount(Cause),
}

/// The files of one pass.
#[derive(Debug, Default)]
pub struct Inspection {
    refused: BTreeSet<ObjectKey>,
}

impl KnownFiles {
    /// A pass begins: forgets what it does not ask for, and brings it in order. Whoever may write to the bucket chooses
    /// names: what was refused last time must not come first for ever.
    pub fn begin(&mut self, files: &mut [FileQuery]) -> Inspection {
        let asked: BTreeSet<&ObjectKey> = files.iter().map(|file| &file.key).collect();
        self.never.retain(|key, _| asked.contains(key));
        self.refused.retain(|key| asked.contains(key));
        files.sort_by_key(|file| self.refused.contains(&file.key));
        Inspection::default()
    }

    /// A pass ends.
    pub fn end(&mut self, inspection: Inspection) {
        self.refused.extend(inspection.refused);
    }

    /// R7; what will never be an image is remembered.
    pub fn judge(&mut self, file: &FileQuery, facts: &FileFacts) -> FileVerdict {
        let verdict = file_verdict(facts, file.size);
        if let FileVerdict::Incomplete(reason) = &verdict
            && !reason.will_pass()
        {
            self.never.insert(file.key.clone(), (file.etag.clone(), reason.clone()));
        }
        verdict
    }
}

impl Inspection {
    /// What is known of a file without reading it; `None`: it has to be read.
    pub fn without_reading(
        &self,
        known: &KnownFiles,
        file: &FileQuery,
        time_is_over: bool,
    ) -> Option<FileVerdict> {
        if let Some((_, reason)) = known.never.get(&file.key).filter(|(etag, _)| *etag == file.etag) {
            return Some(FileVerdict::Incomplete(reason.clone()));
        }
        let kind = match time_is_over {
            true => "slow",
            false if self.refused.len() > MOST_REFUSED => "refused",
            false => return None,
        };
        let detail = format!(
            "{} was not reached in this pass: the mount takes too long, or refuses too many files",
            file.key
        );
        Some(FileVerdict::Unknown(Cause { source_name: Source::Mount, kind, detail }))
    }

    /// A file could not be read.
    pub fn failed(&mut self, key: &ObjectKey, failure: ReadFailure) -> Meaning {
        match failure {
            ReadFailure::OfFile(reason) => Meaning::ThisFile(FileVerdict::Incomplete(reason)),
            ReadFailure::Refused(cause) => {
                self.refused.insert(key.clone());
                Meaning::ThisFileIfMounted(FileVerdict::Unknown(cause))
            }
            ReadFailure::Hung(cause) => {
                self.refused.insert(key.clone());
                Meaning::WholeMount(cause)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: usize) -> FileQuery {
        FileQuery { key: ObjectKey::new(format!("PE/{n:03}")), size: 4096, etag: Etag::new("1") }
    }

    fn cause() -> Cause {
        Cause { source_name: Source::Mount, kind: "refused", detail: String::new() }
    }

    fn kind(verdict: Option<FileVerdict>) -> Option<&'static str> {
        match verdict? {
            FileVerdict::Unknown(cause) => Some(cause.kind),
            _ => Some("known"),
        }
    }

    #[test]
    fn r14_after_more_than_32_refusals_the_mount_is_left_alone_until_the_next_pass() {
        let mut known = KnownFiles::default();
        let mut files: Vec<FileQuery> = (0..40).map(file).collect();
        let mut pass = known.begin(&mut files);
        for n in 0..=MOST_REFUSED {
            assert_eq!(kind(pass.without_reading(&known, &file(n), false)), None);
            let meaning = pass.failed(&file(n).key, ReadFailure::Refused(cause()));
            assert_eq!(meaning, Meaning::ThisFileIfMounted(FileVerdict::Unknown(cause())));
        }
        assert_eq!(kind(pass.without_reading(&known, &file(39), false)), Some("refused"));
        known.end(pass);
        let pass = known.begin(&mut files);
        assert_eq!(files[0], file(33), "what was refused comes last");
        assert_eq!(kind(pass.without_reading(&known, &file(39), false)), None);
        assert_eq!(kind(pass.without_reading(&known, &file(39), true)), Some("slow"));
    }

    #[test]
    fn r14_a_mount_that_hangs_is_not_asked_again_and_a_file_that_is_wrong_is_nobody_elses_matter() {
        let mut pass = KnownFiles::default().begin(&mut []);
        assert_eq!(pass.failed(&file(1).key, ReadFailure::Hung(cause())), Meaning::WholeMount(cause()));
        let escapes = Reason::File { kind: "file_escapes", detail: String::new() };
        let verdict = FileVerdict::Incomplete(escapes.clone());
        assert_eq!(pass.failed(&file(1).key, ReadFailure::OfFile(escapes)), Meaning::ThisFile(verdict));
    }

    #[test]
    fn r7_what_will_never_be_an_image_is_not_read_again_until_its_object_is_another() {
        let mut known = KnownFiles::default();
        let mut pass = known.begin(&mut [file(1)]);
        let text = FileFacts { size: 4096, head: b"text".to_vec(), mode: 0o644 };
        let verdict = known.judge(&file(1), &text);
        assert_eq!(pass.without_reading(&known, &file(1), false), Some(verdict));
        let replaced = FileQuery { etag: Etag::new("2"), ..file(1) };
        assert_eq!(pass.without_reading(&known, &replaced, false), None);
        pass = known.begin(&mut [file(2)]);
        assert_eq!(pass.without_reading(&known, &file(1), false), None, "nobody asked for it in between");
        known.judge(&file(2), &FileFacts { size: 0, head: Vec::new(), mode: 0o644 });
        assert_eq!(pass.without_reading(&known, &file(2), false), None, "an upload that has begun may end");
    }
}
