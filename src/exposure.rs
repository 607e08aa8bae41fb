//! Secrets that others can read or replace: told once, and used all the same, for a node that serves is worth more.

use crate::config::Settings;
use crate::identity;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Group and others may read it.
const READABLE_BY_OTHERS: u32 = 0o044;
/// Group and others may write it.
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// In such a folder everyone may replace only what is his own.
const STICKY: u32 = 0o1000;

/// One line for each. It looks at files, so it may block.
pub fn of_secrets(settings: &Settings) -> Vec<String> {
    let token = settings.ims.token_file.as_deref();
    let files: Vec<&Path> =
        [Some(settings.s3.credential_file.as_path()), token].into_iter().flatten().collect();
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let mut notes: Vec<String> = files.into_iter().chain(folders).flat_map(of_path).collect();
    if identity::sends_tokens(settings) && settings.ims.url.starts_with("http://") {
        notes.push(format!(
            "the bearer token goes to {} unencrypted: use https in ims.gateway",
            settings.ims.url
        ));
    }
    notes
}

/// What is not there (yet) exposes nothing.
fn of_path(path: &Path) -> Vec<String> {
    let Ok(found) = std::fs::metadata(path) else { return Vec::new() };
    let access = Access { is_folder: found.is_dir(), mode: found.mode() & 0o7777, owner: found.uid() };
    access.notes(path, rustix::process::geteuid().as_raw())
}

/// Who may do what with a secret, or with the folder of one.
#[derive(Clone, Copy)]
struct Access {
    is_folder: bool,
    mode: u32,
    owner: u32,
}

impl Access {
    fn notes(self, path: &Path, ourselves: u32) -> Vec<String> {
        let Access { mode, owner, .. } = self;
        let path = path.display();
        let by_others = self.of_others().map(|(can, cure)| {
            format!("{path} has mode {mode:04o}: others than its owner can {can}, {cure}")
        });
        let by_owner = (owner != 0 && owner != ourselves).then(|| {
            let can = if self.is_folder { "replace the secret in it" } else { "read and write it" };
            format!("{path} has mode {mode:04o} and belongs to user {owner}, who can {can}: chown root")
        });
        by_others.into_iter().chain(by_owner).collect()
    }

    /// What others than the owner can do, and what ends that.
    fn of_others(self) -> Option<(&'static str, &'static str)> {
        let (read, written) = (self.mode & READABLE_BY_OTHERS != 0, self.mode & WRITABLE_BY_OTHERS != 0);
        match (self.is_folder, read, written) {
            (true, _, true) if self.mode & STICKY == 0 => Some(("replace the secret in it", "chmod go-w")),
            (true, ..) | (false, false, false) => None,
            (false, true, false) => Some(("read it", "chmod 600")),
            (false, false, true) => Some(("write it", "chmod 600")),
            (false, true, true) => Some(("read and write it", "chmod 600")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    fn notes(flags: &[&str]) -> Vec<String> {
        let flags = flags.iter().map(|flag| flag.parse().unwrap()).collect();
        of_secrets(&load(&Sources { flags, ..Sources::default() }).unwrap().settings)
    }

    #[test]
    fn secrets_that_others_can_read_are_named_and_the_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, token) = (dir.path().join("keys"), dir.path().join("token"));
        let flags =
            [format!("s3.credential_file={}", keys.display()), format!("ims.token_file={}", token.display())];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        assert_eq!(notes(&flags), [""; 0], "they are not there yet");
        for (path, mode) in [(&keys, 0o640), (&token, 0o600)] {
            write(path, "").unwrap();
            set_permissions(path, Permissions::from_mode(mode)).unwrap();
        }
        let told = notes(&flags);
        assert!(matches!(&told[..], [note] if note.contains("keys has mode 0640")), "{told:?}");
        set_permissions(&token, Permissions::from_mode(0o604)).unwrap();
        assert_eq!(notes(&flags).len(), 2);
    }

    #[test]
    fn secrets_that_others_can_write_or_replace_are_named_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        write(&keys, "").unwrap();
        for (folder, file, ends) in [
            (0o700, 0o620, &["keys has mode 0620: others than its owner can write it, chmod 600"][..]),
            (0o700, 0o602, &["keys has mode 0602: others than its owner can write it, chmod 600"]),
            (0o700, 0o666, &["keys has mode 0666: others than its owner can read and write it, chmod 600"]),
            (
                0o770,
                0o600,
                &[" has mode 0770: others than its owner can replace the secret in it, chmod go-w"],
            ),
            (0o755, 0o600, &[]),
            (0o1777, 0o600, &[]),
        ] {
            set_permissions(dir.path(), Permissions::from_mode(folder)).unwrap();
            set_permissions(&keys, Permissions::from_mode(file)).unwrap();
            let told = notes(&[&format!("s3.credential_file={}", keys.display())]);
            let is_told =
                told.len() == ends.len() && told.iter().zip(ends).all(|(note, end)| note.ends_with(end));
            assert!(is_told, "{folder:o} {file:o}: {told:?}");
        }
    }

    #[test]
    fn secrets_of_somebody_else_than_root_and_ourselves_are_named() {
        let (mode, ourselves) = (0o600, 1000);
        let told = |is_folder, owner| Access { is_folder, mode, owner }.notes(Path::new("keys"), ourselves);
        assert_eq!([told(false, 0), told(true, ourselves)], [vec![], Vec::<String>::new()]);
        let others = "keys has mode 0600 and belongs to user 7, who can read and write it: chown root";
        assert_eq!(told(false, 7), [others]);
        assert_eq!(told(true, 7), [others.replace("read and write it", "replace the secret in it")]);
    }

    #[test]
    fn a_token_that_goes_over_http_is_told_and_http_without_a_token_is_not() {
        let http = "ims.gateway=http://ims:8080";
        assert_eq!(notes(&[http, "s3.credential_file=/no/such", "spire.mode=none"]), [""; 0]);
        let told = notes(&[http, "s3.credential_file=/no/such", "ims.token_file=/no/such"]);
        assert!(
            matches!(&told[..], [note] if note.contains("http://ims:8080/apis/ims/v3/images unencrypted")),
            "{told:?}"
        );
    }
}
