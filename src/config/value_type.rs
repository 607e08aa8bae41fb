//! What a value may be: one check and one sentence for each kind, and the type that comes of it.
//!
//! Environment and flags are text, so every value is checked as text; TOML may write numbers with or without quotes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Component, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use actors::model::Word;
use reqwest::Url;

/// The value of a text, if it is one.
type Read<T> = Box<dyn Fn(&str) -> Option<T> + Send + Sync>;

/// What a key may be set to, and the `T` that its text becomes.
pub(super) struct ValueType<T> {
    /// For an operator.
    pub allowed: String,
    pub read: Read<T>,
    /// TOML writes it without quotes.
    pub bare: bool,
    /// Someone may have put the secret itself where its file belongs, so a wrong value is never shown.
    pub secret: bool,
}

/// One millisecond: what is shorter is a mistyped unit, and a timer of nothing would never rest.
pub(super) const SHORTEST_SECONDS: f64 = 0.001;

/// iSCSI's limit for a name (RFC 7143, 4.2.7.1).
const LONGEST_IQN: usize = 223;

/// What a log level may be.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

impl<T: 'static> ValueType<T> {
    fn new(
        allowed: impl Into<String>,
        read: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> ValueType<T> {
        ValueType { allowed: allowed.into(), read: Box::new(read), bare: false, secret: false }
    }

    fn bare(self) -> ValueType<T> {
        ValueType { bare: true, ..self }
    }

    /// This kind, or empty.
    pub fn optional(self) -> ValueType<Option<T>> {
        let read = self.read;
        ValueType {
            allowed: format!("{}; or empty", self.allowed),
            read: Box::new(move |text| if text.is_empty() { Some(None) } else { read(text).map(Some) }),
            bare: self.bare,
            secret: self.secret,
        }
    }
}

/// Text that passes a check and stays as it is.
fn text(allowed: impl Into<String>, is_valid: fn(&str) -> bool) -> ValueType<String> {
    ValueType::new(allowed, move |text| is_valid(text).then(|| text.to_owned()))
}

/// A time in seconds; fractions are allowed.
pub(super) fn seconds(range: RangeInclusive<f64>) -> ValueType<Duration> {
    let allowed = format!("seconds from {} to {}", range.start(), range.end());
    ValueType::new(allowed, move |text| {
        let seconds = text.parse().ok().filter(|seconds| range.contains(seconds))?;
        Some(Duration::from_secs_f64(seconds))
    })
    .bare()
}

/// A whole number.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> ValueType<T>
where
    T: FromStr + PartialOrd + Display + Send + Sync + 'static,
{
    let allowed = format!("a whole number from {} to {}", range.start(), range.end());
    ValueType::new(allowed, move |text| text.parse().ok().filter(|number| range.contains(number))).bare()
}

/// Yes or no, as people write it.
pub(super) fn flag() -> ValueType<bool> {
    ValueType::new("true, false, yes, no, 1 or 0", |text| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    })
    .bare()
}

/// One of these words, each with what it stands for.
pub(super) fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, T); N],
) -> ValueType<T> {
    ValueType::new(words.map(|(word, _)| word).join(" or "), move |text| {
        words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
    })
}

/// One line of text.
pub(super) fn line() -> ValueType<String> {
    text("one line of text", |text| !text.is_empty() && is_line(text))
}

/// One line of text, or nothing.
pub(super) fn line_or_empty() -> ValueType<String> {
    text("one line of text; or empty", is_line)
}

/// One word without slashes.
pub(super) fn name() -> ValueType<String> {
    text("a word of A-Z a-z 0-9 _ . : -", is_name)
}

/// A file or folder.
pub(super) fn path() -> ValueType<PathBuf> {
    ValueType::new("an absolute path without ..", absolute)
}

/// Where to listen on TCP.
pub(super) fn address() -> ValueType<SocketAddr> {
    ValueType::new("an IP address and a port, such as 127.0.0.1:9465 or [::]:9465", |text| text.parse().ok())
}

/// A file that holds a secret.
pub(super) fn secret_path() -> ValueType<PathBuf> {
    let kind = ValueType::new("the absolute path of a file, not what is in it", absolute);
    ValueType { secret: true, ..kind }
}

/// A folder that becomes part of targetclid's words.
pub(super) fn mount_path() -> ValueType<PathBuf> {
    ValueType::new("an absolute path of A-Z a-z 0-9 _ . / : + @ ~ - without ..", |text| {
        absolute(text).filter(|_| Word::try_from(text).is_ok())
    })
}

/// The root of a service.
pub(super) fn url() -> ValueType<Url> {
    ValueType::new("http:// or https://, host, perhaps port and path; no user, no query", service_root)
}

/// A server.
pub(super) fn host() -> ValueType<String> {
    text("host or host:port, without https://", is_host)
}

/// An iSCSI target.
pub(super) fn iqn() -> ValueType<String> {
    text("iqn.YYYY-MM.domain:name of A-Z a-z 0-9 . : -", is_iqn)
}

/// What is logged.
pub(super) fn log_filter() -> ValueType<String> {
    let allowed = format!("one of {}, or a list such as sbps_marshal=debug,info", LEVELS.join(", "));
    text(allowed, |text| text.split(',').all(is_log_directive))
}

fn is_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

fn is_name(text: &str) -> bool {
    Word::try_from(text).is_ok() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// In its shortest form, without a slash at the end. The root is refused: no key here means the whole machine.
fn absolute(text: &str) -> Option<PathBuf> {
    let path: PathBuf = PathBuf::from(text).components().collect();
    let normal = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    (is_line(text) && normal && path.is_absolute() && path.parent().is_some()).then_some(path)
}

fn service_root(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
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
        && service_root(&format!("https://{text}")).is_some()
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

    fn allows<T>(kind: &ValueType<T>, texts: &[&str]) {
        for text in texts {
            assert!((kind.read)(text).is_some(), "{} refuses {text:?}", kind.allowed);
        }
    }

    fn refuses<T>(kind: &ValueType<T>, texts: &[&str]) {
        for text in texts {
            assert!((kind.read)(text).is_none(), "{} allows {text:?}", kind.allowed);
        }
    }

    #[test]
    fn seconds_are_positive_finite_and_may_have_a_fraction() {
        let kind = seconds(SHORTEST_SECONDS..=3600.0);
        assert_eq!((kind.read)("0.25"), Some(Duration::from_millis(250)));
        allows(&kind, &["1", "10", "3600", "0.001"]);
        refuses(&kind, &["", "0", "-1", "0.0001", "3600.1", "nan", "inf", "10s", "ten"]);
    }

    #[test]
    fn flags_of_the_predecessor_are_understood_in_any_case() {
        for (text, meaning) in
            [("true", true), ("YES", true), ("1", true), ("False", false), ("no", false), ("0", false)]
        {
            assert_eq!((flag().read)(text), Some(meaning), "{text}");
        }
        refuses(&flag(), &["", "2", "y", "enabled"]);
    }

    #[test]
    fn a_path_is_absolute_and_loses_its_slash_at_the_end() {
        assert_eq!((path().read)("/var//lib/x/"), Some("/var/lib/x".into()));
        allows(&path(), &["/a b", "/é"]);
        refuses(&path(), &["", "/", "//", "relative", "/a/../b", "/a\nb"]);
        refuses(&mount_path(), &["/a b", "/é", "/a%b"]);
    }

    #[test]
    fn a_gateway_is_a_root_without_secrets_or_questions() {
        allows(&url(), &["https://api-gw-service-nmn.local", "http://127.0.0.1:8080/", "https://h/prefix/"]);
        refuses(
            &url(),
            &["", "api-gw", "ftp://h", "https://", "https://u:p@h", "https://h/?a=b", "https://h/#a"],
        );
    }

    #[test]
    fn a_host_has_no_scheme_and_no_path() {
        allows(&host(), &["rgw-vip.nmn", "127.0.0.1:9000", "[::1]:9000"]);
        refuses(&host(), &["", "https://rgw-vip.nmn", "h/x", "h:port", "u@h", "a b", "h:99999"]);
    }

    #[test]
    fn an_iqn_is_dated_and_harmless_to_targetclid() {
        allows(&iqn(), &["iqn.2023-06.csm.iscsi:ncn-w001", "iqn.2023-06.x"]);
        refuses(
            &iqn(),
            &["", "iqn.", "iqn.2023-06.", "iqn.202-066.x", "eui.02004567A425678D", "iqn.2023-06.é"],
        );
        refuses(&iqn(), &["iqn.2023-06.a:b/c", "iqn.2023-06.a:b_c", "iqn.2023-06.a:<hostname>"]);
        refuses(&iqn(), &[&format!("iqn.2023-06.{}", "a".repeat(212))]);
    }

    #[test]
    fn a_mistyped_log_level_is_refused() {
        allows(&log_filter(), &["info", "off", "sbps_marshal=debug,info", "sbps_marshal::ims=trace"]);
        refuses(&log_filter(), &["", "inof", "INFO", "info,", "=info", "a=b", "a b=info", "sbps_marshal"]);
    }

    #[test]
    fn whole_numbers_words_and_text_keep_to_their_kind() {
        let percent = whole(1..=100_u8);
        allows(&percent, &["1", "100"]);
        refuses(&percent, &["0", "101", "256", "-1", "1.5", ""]);
        let proto = one_of([("https", 's'), ("http", 'p')]);
        assert_eq!((proto.read)("http"), Some('p'));
        refuses(&proto, &["ftp", "HTTPS", ""]);
        refuses(&name(), &["", "a/b", "a b", "a@b"]);
        refuses(&line(), &["", "a\nb"]);
        refuses(&line_or_empty(), &["a\nb"]);
        assert_eq!((line_or_empty().read)(""), Some(String::new()));
    }

    #[test]
    fn an_optional_value_may_be_empty_but_not_wrong() {
        let kind = secret_path().optional();
        assert!(kind.secret && kind.allowed.ends_with("; or empty"));
        assert_eq!((kind.read)(""), Some(None));
        assert_eq!((kind.read)("/x"), Some(Some("/x".into())));
        refuses(&kind, &["x"]);
    }
}
