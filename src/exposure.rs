//! A bearer token that others can read: told once, and used all the same, for a node that serves is worth more. The S3
//! credentials' file says so itself where it is read ([`crate::s3`]).

use crate::config::Settings;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Group and others may read it.
const READABLE_BY_OTHERS: u32 = 0o044;

/// One line for each way the token is exposed. It looks at a file, so it may block.
pub fn of_token(settings: &Settings) -> Vec<String> {
    let Some(token) = settings.ims.token_file.as_deref() else { return Vec::new() };
    let url = &settings.ims.url;
    let plain = format!("the bearer token goes to {url} unencrypted: use https in ims.gateway");
    of_file(token).into_iter().chain(url.starts_with("http://").then_some(plain)).collect()
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
        of_token(&load(&Sources { flags, ..Sources::default() }).unwrap().settings)
    }

    #[test]
    fn a_token_that_others_can_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        let flag = format!("ims.token_file={}", token.display());
        assert_eq!(notes(&[&flag]), [""; 0], "it is not there yet");
        write(&token, "").unwrap();
        for (mode, told) in [(0o600, false), (0o604, true), (0o640, true)] {
            set_permissions(&token, Permissions::from_mode(mode)).unwrap();
            let notes = notes(&[&flag]);
            assert_eq!(
                notes.iter().any(|note| note.contains("token has mode 06")),
                told,
                "{mode:o} {notes:?}"
            );
        }
    }

    #[test]
    fn a_token_that_goes_over_http_is_told_and_http_without_a_token_is_not() {
        let http = "ims.gateway=http://ims:8080";
        assert_eq!(notes(&[http]), [""; 0]);
        let told = notes(&[http, "ims.token_file=/no/such"]);
        assert!(
            matches!(&told[..], [note] if note.contains("http://ims:8080/apis/ims/v3/images unencrypted")),
            "{told:?}"
        );
    }
}
