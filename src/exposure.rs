//! Secrets that others can read: told once, and used all the same, for a node that serves is worth more.

use crate::config::Settings;
use crate::identity;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Group and others may read it.
const READABLE_BY_OTHERS: u32 = 0o044;

/// One line for each. It looks at files, so it may block.
pub fn of_secrets(settings: &Settings) -> Vec<String> {
    let token = settings.ims.token_file.as_deref();
    let mut notes: Vec<String> = [Some(settings.s3.credential_file.as_path()), token]
        .into_iter()
        .flatten()
        .filter_map(of_file)
        .collect();
    if identity::sends_tokens(settings) && settings.ims.url.starts_with("http://") {
        notes.push(format!(
            "the bearer token goes to {} unencrypted: use https in ims.gateway",
            settings.ims.url
        ));
    }
    notes
}

/// A file that is not there (yet) exposes nothing.
fn of_file(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let exposed = mode & READABLE_BY_OTHERS != 0;
    exposed.then(|| {
        format!(
            "{} has mode {:04o}: others than its owner can read it, chmod 600",
            path.display(),
            mode & 0o7777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use std::fs::{Permissions, set_permissions, write};

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
