//! What a value may be: one check and one sentence for each kind.
//!
//! Environment and flags are text, so every value is checked as text; TOML may write numbers with or without quotes.

use std::fmt;
use std::path::{Component, PathBuf};
use std::time::Duration;

use actors::model::Word;

/// What a key may be set to.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A time in seconds; fractions are allowed.
    Seconds {
        /// The shortest.
        min: f64,
        /// The longest.
        max: u32,
    },
    /// A whole number.
    Whole {
        /// The smallest.
        min: u16,
        /// The largest.
        max: u16,
    },
    /// Yes or no, in every way the predecessor understood.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One line of text.
    Text,
    /// One word without slashes.
    Name,
    /// A file or folder.
    Path,
    /// A file that holds a secret: someone may have put the secret itself here, so the value is never shown.
    SecretPath,
    /// A folder that becomes part of targetclid's words.
    MountPath,
    /// The root of a service.
    Url,
    /// A server.
    Host,
    /// An iSCSI target.
    Iqn,
    /// What is logged.
    LogFilter,
    /// The kind within, or empty.
    Optional(&'static Kind),
}

/// A value that passed its check.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Checked {
    Seconds(Duration),
    Whole(u16),
    Flag(bool),
    Text(String),
    Path(PathBuf),
    Unset,
}

/// One millisecond: what is shorter is a mistyped unit, and a timer of nothing would never rest.
pub(super) const SHORTEST_SECONDS: f64 = 0.001;

/// iSCSI's limit for a name (RFC 7143, 4.2.7.1).
const LONGEST_IQN: usize = 223;

/// What a log level may be.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

impl Kind {
    /// The value that `text` says, if it is one of this kind.
    pub(super) fn check(&self, text: &str) -> Option<Checked> {
        let text = text.trim();
        let valid_text = |valid: bool| valid.then(|| Checked::Text(text.to_owned()));
        match self {
            Kind::Seconds { min, max } => seconds(text, *min, *max).map(Checked::Seconds),
            Kind::Whole { min, max } => {
                text.parse().ok().filter(|number| (min..=max).contains(&number)).map(Checked::Whole)
            }
            Kind::Flag => flag(text).map(Checked::Flag),
            Kind::OneOf(words) => valid_text(words.contains(&text)),
            Kind::Text => valid_text(!text.is_empty() && !text.contains(char::is_control)),
            Kind::Name => valid_text(is_name(text)),
            Kind::Path | Kind::SecretPath => path(text).map(Checked::Path),
            Kind::MountPath => path(text).filter(|_| Word::try_from(text).is_ok()).map(Checked::Path),
            Kind::Url => valid_text(is_service_root(text)),
            Kind::Host => valid_text(is_host(text)),
            Kind::Iqn => valid_text(is_iqn(text)),
            Kind::LogFilter => valid_text(text.split(',').all(is_log_directive)),
            Kind::Optional(_) if text.is_empty() => Some(Checked::Unset),
            Kind::Optional(kind) => kind.check(text),
        }
    }

    /// Whether a wrong value may be shown. A user part of an address may be a password.
    pub(super) fn may_show(&self, text: &str) -> bool {
        match self {
            Kind::SecretPath => false,
            Kind::Optional(kind) => kind.may_show(text),
            _ => !text.contains('@'),
        }
    }

    /// Whether TOML writes it without quotes.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self, Kind::Seconds { .. } | Kind::Whole { .. } | Kind::Flag)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Seconds { min, max } => write!(f, "seconds from {min} to {max}"),
            Kind::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Kind::Flag => f.write_str("true, false, yes, no, 1 or 0"),
            Kind::OneOf(words) => f.write_str(&words.join(" or ")),
            Kind::Text => f.write_str("one line of text"),
            Kind::Name => f.write_str("a word of A-Z a-z 0-9 _ . : -"),
            Kind::Path => f.write_str("an absolute path without .."),
            Kind::SecretPath => f.write_str("the absolute path of a file, not what is in it"),
            Kind::MountPath => f.write_str("an absolute path of A-Z a-z 0-9 _ . / : + @ ~ - without .."),
            Kind::Url => f.write_str("http:// or https://, host, perhaps port and path; no user, no query"),
            Kind::Host => f.write_str("host or host:port, without https://"),
            Kind::Iqn => f.write_str("iqn.YYYY-MM.domain:name of A-Z a-z 0-9 . : -"),
            Kind::LogFilter => {
                write!(f, "one of {}, or a list such as sbps_marshal=debug,info", LEVELS.join(", "))
            }
            Kind::Optional(kind) => write!(f, "{kind}; or empty"),
        }
    }
}

fn seconds(text: &str, min: f64, max: u32) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (min..=f64::from(max)).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    Word::try_from(text).is_ok() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// In its shortest form, without a slash at the end. The root is refused: no key here means the whole machine.
fn path(text: &str) -> Option<PathBuf> {
    let path: PathBuf = PathBuf::from(text).components().collect();
    let normal = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let plain = !text.contains(char::is_control);
    (plain && normal && path.is_absolute() && path.parent().is_some()).then_some(path)
}

fn is_service_root(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    })
}

fn is_host(text: &str) -> bool {
    !text.contains(['/', '\\', '?', '#', '@'])
        && !text.contains(char::is_whitespace)
        && is_service_root(&format!("https://{text}"))
}

/// rtslib's own rule for iSCSI names, and no slash, which would end a targetclid path.
fn is_iqn(text: &str) -> bool {
    let dated =
        text.strip_prefix("iqn.").and_then(|rest| rest.split_at_checked(8)).is_some_and(|(date, rest)| {
            let (digits, marks): (Vec<_>, Vec<_>) =
                date.char_indices().partition(|(_, c)| c.is_ascii_digit());
            digits.len() == 6 && marks == [(4, '-'), (7, '.')] && !rest.is_empty()
        });
    dated && text.len() <= LONGEST_IQN && is_name(text) && !text.contains('_')
}

/// A level, or a target and its level. A bare word that is no level would be taken for a target: silence.
fn is_log_directive(text: &str) -> bool {
    let (target, level) = text.split_once('=').unwrap_or(("all", text));
    LEVELS.contains(&level) && !target.is_empty() && target.split("::").all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert!(kind.check(text).is_some(), "{kind:?} refuses {text:?}");
        }
    }

    fn refuses(kind: Kind, texts: &[&str]) {
        for text in texts {
            assert!(kind.check(text).is_none(), "{kind:?} allows {text:?}");
        }
    }

    #[test]
    fn seconds_are_positive_finite_and_may_have_a_fraction() {
        let kind = Kind::Seconds { min: SHORTEST_SECONDS, max: 3600 };
        assert_eq!(kind.check("0.25"), Some(Checked::Seconds(Duration::from_millis(250))));
        allows(kind, &["1", " 10 ", "3600", "0.001"]);
        refuses(kind, &["", "0", "-1", "0.0001", "3600.1", "nan", "inf", "10s", "ten"]);
    }

    #[test]
    fn flags_of_the_predecessor_are_understood_in_any_case() {
        for (text, flag) in
            [("true", true), ("YES", true), ("1", true), ("False", false), ("no", false), ("0", false)]
        {
            assert_eq!(Kind::Flag.check(text), Some(Checked::Flag(flag)), "{text}");
        }
        refuses(Kind::Flag, &["", "2", "y", "enabled"]);
    }

    #[test]
    fn a_path_is_absolute_and_loses_its_slash_at_the_end() {
        assert_eq!(Kind::Path.check("/var//lib/x/"), Some(Checked::Path("/var/lib/x".into())));
        allows(Kind::Path, &["/a b", "/é"]);
        refuses(Kind::Path, &["", "/", "//", "relative", "/a/../b", "/a\nb"]);
        refuses(Kind::MountPath, &["/a b", "/é", "/a%b"]);
    }

    #[test]
    fn a_gateway_is_a_root_without_secrets_or_questions() {
        allows(
            Kind::Url,
            &["https://api-gw-service-nmn.local", "http://127.0.0.1:8080/", "https://h/prefix/"],
        );
        refuses(
            Kind::Url,
            &["", "api-gw", "ftp://h", "https://", "https://u:p@h", "https://h/?a=b", "https://h/#a"],
        );
    }

    #[test]
    fn a_host_has_no_scheme_and_no_path() {
        allows(Kind::Host, &["rgw-vip.nmn", "127.0.0.1:9000", "[::1]:9000"]);
        refuses(Kind::Host, &["", "https://rgw-vip.nmn", "h/x", "h:port", "u@h", "a b", "h:99999"]);
    }

    #[test]
    fn an_iqn_is_dated_and_harmless_to_targetclid() {
        allows(Kind::Iqn, &["iqn.2023-06.csm.iscsi:ncn-w001", "iqn.2023-06.x"]);
        refuses(
            Kind::Iqn,
            &["", "iqn.", "iqn.2023-06.", "iqn.202-066.x", "eui.02004567A425678D", "iqn.2023-06.é"],
        );
        refuses(Kind::Iqn, &["iqn.2023-06.a:b/c", "iqn.2023-06.a:b_c", "iqn.2023-06.a:<hostname>"]);
        refuses(Kind::Iqn, &[&format!("iqn.2023-06.{}", "a".repeat(212))]);
    }

    #[test]
    fn a_mistyped_log_level_is_refused() {
        allows(Kind::LogFilter, &["info", "off", "sbps_marshal=debug,info", "sbps_marshal::ims=trace"]);
        refuses(Kind::LogFilter, &["", "inof", "INFO", "info,", "=info", "a=b", "a b=info", "sbps_marshal"]);
    }

    #[test]
    fn whole_numbers_words_and_text_keep_to_their_kind() {
        let percent = Kind::Whole { min: 1, max: 100 };
        allows(percent, &["1", "100"]);
        refuses(percent, &["0", "101", "-1", "1.5", ""]);
        refuses(Kind::OneOf(&["https", "http"]), &["ftp", "HTTPS", ""]);
        refuses(Kind::Name, &["", "a/b", "a b", "a@b"]);
        refuses(Kind::Text, &["", " ", "a\nb"]);
    }
}
