//! The pages of a listing, put together. The loop is ours and not the SDK's paginator, because a listing that is short,
//! or turns in circles, must never pass for a complete one (R2).

use actors::model::{Etag, ObjectIndex, ObjectKey, ObjectMeta, Relevant};
use actors::ports::S3Error;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{EncodingType, Object};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

/// What has been read so far.
pub struct Pages<'a> {
    what: &'a str,
    relevant: &'a Relevant,
    index: ObjectIndex,
    page: u32,
    tokens: BTreeSet<String>,
    last_key: Option<String>,
}

impl<'a> Pages<'a> {
    /// None yet.
    pub fn new(what: &'a str, relevant: &'a Relevant) -> Self {
        let index = ObjectIndex::new();
        Pages { what, relevant, index, page: 0, tokens: BTreeSet::new(), last_key: None }
    }

    /// Keeps of this page what is relevant, and says with which token the next one is to be had; `None` after the last.
    pub fn add(&mut self, page: &ListObjectsV2Output) -> Result<Option<String>, S3Error> {
        self.page += 1;
        let next = self.next(page)?;
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        for object in page.contents() {
            let (key, size) = entry(object, encoded).ok_or_else(|| S3Error::Failed {
                what: self.what.to_owned(),
                source: "an entry of the listing has no key or no size".into(),
            })?;
            if self.relevant.wants(&key) {
                self.index.insert(ObjectKey::new(key), meta(object, size));
            }
        }
        tracing::debug!(
            page = self.page,
            entries = page.contents().len(),
            kept = self.index.len(),
            "S3 page"
        );
        Ok(next)
    }

    /// All that is relevant, once [`Pages::add`] has said that there is no next page.
    pub fn into_index(self) -> ObjectIndex {
        self.index
    }

    fn next(&mut self, page: &ListObjectsV2Output) -> Result<Option<String>, S3Error> {
        let last_key = page.contents().last().and_then(Object::key).map(str::to_owned);
        if last_key.is_some() && last_key == self.last_key {
            return Err(self.looping("it ends with the same key as the page before"));
        }
        self.last_key = last_key.or(self.last_key.take());
        match (page.is_truncated(), page.next_continuation_token()) {
            (None, _) => Err(self.looping("it does not say whether it is the last")),
            (Some(false), _) => Ok(None),
            (Some(true), None | Some("")) => {
                Err(self.looping("it is truncated, without a continuation token"))
            }
            (Some(true), Some(token)) if !self.tokens.insert(token.to_owned()) => {
                Err(self.looping("its continuation token was already used"))
            }
            (Some(true), Some(token)) => Ok(Some(token.to_owned())),
        }
    }

    fn looping(&self, problem: &'static str) -> S3Error {
        S3Error::Looping { what: self.what.to_owned(), page: self.page, problem }
    }
}

/// Key and size of one object of a page. A missing size would look like a changed file, so it is no object. Most are of
/// others: nothing is copied that is not needed to know that.
fn entry(object: &Object, encoded: bool) -> Option<(Cow<'_, str>, u64)> {
    let raw = object.key()?;
    let key = if encoded { decoded(raw) } else { Cow::Borrowed(raw) };
    Some((key, u64::try_from(object.size()?).ok()?))
}

/// A missing ETag only means that nothing can be proven by it.
fn meta(object: &Object, size: u64) -> ObjectMeta {
    let etag = Etag::new(object.e_tag().unwrap_or_default());
    ObjectMeta { size, etag, modified: object.last_modified().map(since_1970).unwrap_or_default() }
}

/// Zero for what was before, as for what S3 does not say: nothing may depend on either.
fn since_1970(time: &DateTime) -> Duration {
    u64::try_from(time.secs()).map_or(Duration::ZERO, |seconds| Duration::new(seconds, time.subsec_nanos()))
}

/// `encoding-type=url` is the encoding of HTML forms: a space is `+`, a plus is `%2B`. A key that is no UTF-8 gets
/// U+FFFD, which no key that may be projected holds (R9).
fn decoded(raw: &str) -> Cow<'_, str> {
    match raw.contains('+') {
        false => percent_decode_str(raw).decode_utf8_lossy(),
        true => percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actors::ports::PortError;

    fn page(keys: &[&str]) -> aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2OutputBuilder {
        let object = |key: &&str| Object::builder().key(*key).size(1).e_tag("\"e\"").build();
        ListObjectsV2Output::builder().set_contents(Some(keys.iter().map(object).collect()))
    }

    fn pe() -> Relevant {
        Relevant { prefix: "PE/".into(), ..Relevant::default() }
    }

    #[test]
    fn r2_a_cycle_of_tokens_is_no_listing() {
        let relevant = pe();
        let mut pages = Pages::new("listing", &relevant);
        for (key, token) in [("PE/a", "A"), ("PE/b", "B")] {
            let truncated = page(&[key]).is_truncated(true).next_continuation_token(token).build();
            assert_eq!(pages.add(&truncated).unwrap(), Some(token.to_owned()));
        }
        let error =
            pages.add(&page(&["PE/c"]).is_truncated(true).next_continuation_token("A").build()).unwrap_err();
        assert!(matches!(error, S3Error::Looping { page: 3, .. }), "{error}");
    }

    #[test]
    fn r2_a_page_that_does_not_say_whether_it_is_the_last_is_no_listing() {
        let relevant = pe();
        let error = Pages::new("listing", &relevant).add(&page(&[]).build()).unwrap_err();
        assert_eq!(error.kind(), "looping");
    }

    #[test]
    fn r2_an_entry_without_a_size_is_no_listing() {
        let relevant = pe();
        let bare = Object::builder().key("PE/a").build();
        let output = ListObjectsV2Output::builder().contents(bare).is_truncated(false).build();
        assert_eq!(Pages::new("listing", &relevant).add(&output).unwrap_err().kind(), "failed");
    }

    #[test]
    fn an_object_without_a_time_or_from_before_1970_has_none() {
        let object = || Object::builder().key("PE/a").size(1);
        let modified = |object: Object| meta(&object, 1).modified;
        assert_eq!(modified(object().build()), Duration::ZERO);
        assert_eq!(modified(object().last_modified(DateTime::from_secs(-1)).build()), Duration::ZERO);
        let time = DateTime::from_millis(1_795_207_292_250);
        assert_eq!(modified(object().last_modified(time).build()), Duration::from_millis(1_795_207_292_250));
    }

    #[test]
    fn an_empty_page_in_between_is_a_page() {
        let relevant = pe();
        let mut pages = Pages::new("listing", &relevant);
        let first = page(&["PE/a"]).is_truncated(true).next_continuation_token("A").build();
        let empty = page(&[]).is_truncated(true).next_continuation_token("B").build();
        assert!(pages.add(&first).is_ok() && pages.add(&empty).is_ok());
        assert_eq!(pages.add(&page(&["PE/b"]).is_truncated(false).build()).unwrap(), None);
        assert_eq!(pages.into_index().len(), 2);
    }

    #[test]
    fn a_key_is_decoded_as_a_form_value() {
        assert_eq!(decoded("PE/a+b%2Bc%25d%01%C3%A9"), "PE/a b+c%d\u{1}é");
        assert_eq!(decoded("PE/%FF"), "PE/\u{fffd}");
    }
}
