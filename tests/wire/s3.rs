//! The S3 client on the wire.

use crate::site::{self, DEADLINE, FOR_EVER, told};
use actors::model::{Etag, ObjectIndex, ObjectKey, ObjectMeta, Relevant};
use actors::ports::{PortError, S3Error, S3Port};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sbps_marshal::config;
use sbps_marshal::s3::S3Client;
use serde_json::Value;
use std::time::Duration;
use support::canned::{self, Then};
use support::s3::{Page, refusal};
use tempfile::TempDir;
use wiremock::matchers::{header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockBuilder, MockServer, Request, ResponseTemplate};

const RECORDED: &str = include_str!("../../fixtures/s3-listing.json");

/// An S3 server, and the password file.
pub struct Site {
    pub server: MockServer,
    pub files: TempDir,
}

impl Site {
    pub async fn new() -> Self {
        let site = Site { server: MockServer::start().await, files: tempfile::tempdir().unwrap() };
        site.write_keys("KEY:geheim\n");
        site
    }

    fn write_keys(&self, text: &str) {
        std::fs::write(self.files.path().join("keys"), text).unwrap();
    }

    pub fn config(&self) -> config::S3 {
        site::s3(self.server.uri(), &self.files.path().join("keys"))
    }

    pub async fn expect(&self, call: MockBuilder, answer: ResponseTemplate, times: u64) {
        call.respond_with(answer).expect(times).mount(&self.server).await;
    }

    async fn list(&self) -> Result<ObjectIndex, S3Error> {
        list(&self.config()).await
    }
}

async fn list(config: &config::S3) -> Result<ObjectIndex, S3Error> {
    let relevant = Relevant { prefix: "PE/".to_owned(), ..Relevant::default() };
    let client = S3Client::new(config).unwrap();
    let answer = tokio::time::timeout(FOR_EVER, client.list(&relevant)).await.unwrap();
    shown(&client, answer)
}

/// The answer, if neither it nor the client shows the secret.
pub fn shown<T>(client: &S3Client, answer: Result<T, S3Error>) -> Result<T, S3Error> {
    if let Err(error) = &answer {
        assert!(!format!("{client:?} {error:?} {}", told(error)).contains("geheim"), "{error:?}");
    }
    answer
}

/// A page of our bucket, in path style: the first one, or the one after this token.
fn page(token: Option<&str>) -> MockBuilder {
    let call = Mock::given(method("GET")).and(path("/boot-images/"));
    let call = call.and(query_param("list-type", "2")).and(query_param("encoding-type", "url"));
    match token {
        Some(token) => call.and(query_param("continuation-token", token)),
        None => call.and(query_param_is_missing("continuation-token")),
    }
}

fn signed_by(key: &'static str) -> impl Fn(&Request) -> bool {
    move |request| {
        let signature = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        signature.is_some_and(|signature| signature.contains(&format!("Credential={key}/")))
    }
}

fn keys(index: &ObjectIndex) -> Vec<&str> {
    index.keys().map(ObjectKey::as_str).collect()
}

#[tokio::test]
async fn the_recorded_listing_is_read_and_only_what_is_relevant_is_kept() {
    let site = Site::new().await;
    let recorded: Vec<Value> = serde_json::from_str(RECORDED).unwrap();
    let id = "04fea524-5392-41cf-b915-94f03a372d00";
    let other = "5f06f551-565b-4f14-96d6-b94fb18ca27c/rootfs";
    let relevant = Relevant {
        prefix: "PE/".to_owned(),
        folders: [id.to_owned()].into(),
        keys: [ObjectKey::new(other)].into(),
    };
    site.expect(page(None), Page::new().recorded(&recorded).last().answer(), 1).await;
    let index = S3Client::new(&site.config()).unwrap().list(&relevant).await.unwrap();

    let rootfs = ObjectMeta {
        size: 20480,
        etag: Etag::new("43510433365909f50e95bb731c7364bd"),
        modified: Duration::from_secs(1_795_207_292),
    };
    assert_eq!(index.get(&ObjectKey::new(format!("{id}/rootfs"))), Some(&rootfs));
    assert_eq!(index[&ObjectKey::new(other)].etag.as_str(), "749e82208489b67cda51934d7df52a0b-1");
    let wanted = recorded.iter().filter(|entry| relevant.wants(entry["Key"].as_str().unwrap()));
    assert_eq!(index.len(), wanted.count());
    assert!(index.len() < recorded.len());
}

#[tokio::test]
async fn two_and_three_pages_are_read_to_the_last() {
    for last in ["B", "C"] {
        let site = Site::new().await;
        let tokens = [None, Some("A=/+"), Some("B"), Some("C")];
        let count = if last == "B" { 2 } else { 3 };
        for n in 0..count {
            let content =
                Page::new().object(&format!("PE/{n}"), 512, "e").object(&format!("other/{n}"), 1, "e");
            let content = if n + 1 < count { content.truncated(tokens[n + 1]) } else { content.last() };
            site.expect(page(tokens[n]), content.answer(), 1).await;
        }
        assert_eq!(keys(&site.list().await.unwrap()), ["PE/0", "PE/1", "PE/2"][..count]);
    }
}

#[tokio::test]
async fn an_empty_bucket_is_an_answer() {
    let site = Site::new().await;
    site.expect(page(None), Page::new().last().answer(), 1).await;
    assert_eq!(site.list().await.unwrap(), ObjectIndex::new());
}

#[tokio::test]
async fn r2_a_truncated_page_without_a_token_is_no_listing() {
    let site = Site::new().await;
    site.expect(page(None), Page::new().object("PE/a", 512, "e").truncated(None).answer(), 1).await;
    let error = site.list().await.unwrap_err();
    assert!(matches!(error, S3Error::Looping { page: 1, .. }), "{error}");
}

#[tokio::test]
async fn r2_a_repeated_token_is_no_listing() {
    let site = Site::new().await;
    site.expect(page(None), Page::new().object("PE/a", 512, "e").truncated(Some("A")).answer(), 1).await;
    site.expect(page(Some("A")), Page::new().object("PE/b", 512, "e").truncated(Some("A")).answer(), 1).await;
    let error = site.list().await.unwrap_err();
    assert!(matches!(error, S3Error::Looping { page: 2, .. }), "{error}");
}

#[tokio::test]
async fn r2_the_same_page_under_a_new_token_is_no_listing() {
    let site = Site::new().await;
    site.expect(page(None), Page::new().object("PE/a", 512, "e").truncated(Some("A")).answer(), 1).await;
    site.expect(page(Some("A")), Page::new().object("PE/a", 512, "e").truncated(Some("B")).answer(), 1).await;
    let error = site.list().await.unwrap_err();
    assert!(matches!(error, S3Error::Looping { page: 2, .. }), "{error}");
}

#[tokio::test]
async fn r2_an_answer_that_is_no_listing_is_an_error() {
    for body in ["<html>login</html>", "", "<ListBucketResult/>", "{\"IsTruncated\": false}"] {
        let site = Site::new().await;
        let answer = ResponseTemplate::new(200).set_body_raw(body, "application/xml");
        page(None).respond_with(answer).expect(1..).mount(&site.server).await;
        assert!(site.list().await.is_err(), "{body:?}");
    }
}

#[tokio::test]
async fn r2_a_listing_that_breaks_off_anywhere_is_no_listing() {
    let site = Site::new().await;
    let whole = Page::new().last().object("PE/a", 512, "e").object("PE/b", 512, "e").xml();
    for end in (0..whole.len()).step_by(7) {
        let torn = ResponseTemplate::new(200).set_body_raw(&whole[..end], "application/xml");
        let torn = page(None).respond_with(torn).expect(1..).mount_as_scoped(&site.server).await;
        let answer = site.list().await;
        assert!(matches!(answer, Err(S3Error::Failed { .. })), "{end}: {answer:?}");
        drop(torn);
    }
}

#[tokio::test]
async fn r2_a_missing_bucket_is_no_empty_one() {
    let site = Site::new().await;
    site.expect(page(None), refusal(404, "NoSuchBucket"), 1).await;
    let error = site.list().await.unwrap_err();
    assert!(error.kind() == "failed" && told(&error).contains("NoSuchBucket"), "{}", told(&error));
}

#[tokio::test]
async fn keys_with_odd_characters_are_decoded_when_the_server_says_that_they_are_encoded() {
    let site = Site::new().await;
    let answer = Page::new().encoded().object("PE/a+b%2Bc%25%01%0A%C3%A9", 1, "e").last().answer();
    site.expect(page(None), answer, 1).await;
    assert_eq!(keys(&site.list().await.unwrap()), ["PE/a b+c%\u{1}\né"]);
}

#[tokio::test]
async fn keys_with_odd_characters_stay_as_they_are_when_the_server_does_not_encode() {
    let site = Site::new().await;
    let answer = Page::new().object("PE/a+b%2Bc &amp;%é", 1, "e").last().answer();
    site.expect(page(None), answer, 1).await;
    assert_eq!(keys(&site.list().await.unwrap()), ["PE/a+b%2Bc &%é"]);
}

#[tokio::test]
async fn each_printable_character_of_a_key_is_listed_and_asked_for_as_itself() {
    for c in ' '..='~' {
        let site = Site::new().await;
        let key = format!("PE/a{c}z");
        let listed = utf8_percent_encode(&key, NON_ALPHANUMERIC).to_string().replace("%20", "+");
        site.expect(page(None), Page::new().encoded().object(&listed, 2, "e").last().answer(), 1).await;
        assert_eq!(keys(&site.list().await.unwrap()), [&key]);
        let path = format!("/boot-images/{key}");
        let is_it = move |request: &Request| percent_decode_str(request.url.path()).eq(path.bytes());
        site.expect(Mock::given(is_it), ResponseTemplate::new(200).set_body_string("{}"), 1).await;
        let client = S3Client::new(&site.config()).unwrap();
        assert!(client.get(&ObjectKey::new(key), &Etag::new("e"), 2).await.is_ok(), "{c:?}");
    }
}

#[tokio::test]
async fn keys_that_were_replaced_sign_the_next_request() {
    let site = Site::new().await;
    site.expect(page(None).and(signed_by("KEY")), Page::new().last().answer(), 1).await;
    site.expect(page(None).and(signed_by("NEW")), Page::new().last().answer(), 1).await;
    let client = S3Client::new(&site.config()).unwrap();
    assert!(client.list(&Relevant::default()).await.is_ok());
    site.write_keys("NEW:geheim\n");
    assert!(client.list(&Relevant::default()).await.is_ok());
}

#[tokio::test]
async fn changed_keys_are_tried_once_after_a_denial() {
    let site = Site::new().await;
    let file = site.files.path().join("keys");
    let rotate = move |_: &Request| {
        std::fs::write(&file, "KEY:geheim\nNEW:geheim\n").unwrap();
        refusal(403, "InvalidAccessKeyId")
    };
    let first = page(None).and(signed_by("KEY"));
    first.respond_with(rotate).expect(1).mount(&site.server).await;
    site.expect(page(None).and(signed_by("NEW")), Page::new().truncated(Some("A")).answer(), 1).await;
    site.expect(page(Some("A")).and(signed_by("NEW")), Page::new().last().answer(), 1).await;
    assert!(site.list().await.is_ok());
}

#[tokio::test]
async fn unchanged_keys_are_not_tried_again_after_a_denial() {
    for status in [401, 403] {
        let site = Site::new().await;
        site.expect(page(None).and(signed_by("KEY")), refusal(status, "AccessDenied"), 1).await;
        let error = site.list().await.unwrap_err();
        let said = format!("listing of bucket boot-images was denied: S3 answered {status} AccessDenied: no");
        assert_eq!((error.kind(), told(&error)), ("denied", said));
    }
}

#[tokio::test]
async fn without_keys_nothing_is_asked_of_anybody() {
    let site = Site::new().await;
    site.write_keys("");
    site.expect(Mock::given(method("GET")), Page::new().last().answer(), 0).await;
    assert!(matches!(site.list().await, Err(S3Error::Credentials { .. })));
}

#[tokio::test]
async fn the_bucket_is_in_the_path_and_not_in_the_host_name() {
    let site = Site::new().await;
    let host = format!("localhost:{}", site.server.address().port());
    let call = page(None).and(header("host", host.as_str()));
    site.expect(call, Page::new().last().answer(), 1).await;
    assert!(list(&config::S3 { endpoint: format!("http://{host}"), ..site.config() }).await.is_ok());
}

#[tokio::test]
async fn no_checksum_header_leaves() {
    let site = Site::new().await;
    let plain = |request: &Request| {
        request.headers.keys().all(|name| !name.as_str().contains("checksum") && name != "x-amz-trailer")
            && !request.url.query().unwrap_or_default().contains("checksum")
    };
    site.expect(page(None).and(plain), Page::new().last().answer(), 1).await;
    assert!(site.list().await.is_ok());
    let object = Mock::given(path("/boot-images/id/manifest.json")).and(plain);
    site.expect(object, ResponseTemplate::new(200).set_body_string("{}"), 1).await;
    let client = S3Client::new(&site.config()).unwrap();
    assert!(client.get(&ObjectKey::new("id/manifest.json"), &Etag::new("abc"), 2).await.is_ok());
}

#[tokio::test]
async fn a_failing_server_is_asked_four_times_and_no_more() {
    let site = Site::new().await;
    site.expect(page(None), refusal(500, "InternalError"), 4).await;
    let config = config::S3 { timeout: 5 * DEADLINE, ..site.config() };
    let error = S3Client::new(&config).unwrap().list(&Relevant::default()).await.unwrap_err();
    assert_eq!(error.kind(), "failed");
    assert_eq!(told(&error), "listing of bucket boot-images failed: S3 answered 500 InternalError: no");
}

#[tokio::test]
async fn a_server_that_asks_three_times_to_slow_down_is_asked_a_fourth_time() {
    let site = Site::new().await;
    let slow_down = page(None).respond_with(refusal(503, "SlowDown")).up_to_n_times(3).expect(3);
    slow_down.mount(&site.server).await;
    site.expect(page(None), Page::new().last().answer(), 1).await;
    let config = config::S3 { timeout: 5 * DEADLINE, ..site.config() };
    assert!(list(&config).await.is_ok());
}

#[tokio::test]
async fn a_server_that_does_not_stop_asking_to_slow_down_is_told_as_that() {
    let site = Site::new().await;
    site.expect(page(None), refusal(503, "SlowDown"), 4).await;
    let config = config::S3 { timeout: 5 * DEADLINE, ..site.config() };
    let error = list(&config).await.unwrap_err();
    let said = "listing of bucket boot-images failed: S3 answered 503 SlowDown: no";
    assert_eq!((error.kind(), told(&error).as_str()), ("failed", said));
}

#[tokio::test]
async fn r2_a_listing_that_changes_between_its_pages_has_what_was_there_all_the_time_and_the_newest_of_the_rest()
 {
    let site = Site::new().await;
    // Replaced while it is listed, `b` is on both pages; `a` was deleted after its page, `c` came before the second.
    let first = Page::new().object("PE/a", 1, "e").object("PE/b", 1, "old").truncated(Some("T"));
    site.expect(page(None), first.answer(), 1).await;
    let second = Page::new().object("PE/b", 2, "new").object("PE/c", 3, "e").object("PE/d", 4, "e").last();
    site.expect(page(Some("T")), second.answer(), 1).await;
    let index = site.list().await.unwrap();
    assert_eq!(keys(&index), ["PE/a", "PE/b", "PE/c", "PE/d"]);
    let b = &index[&ObjectKey::new("PE/b")];
    assert_eq!((b.size, b.etag.as_str()), (2, "new"));
    // What is listed and gone is told as that, when it is asked for.
    site.expect(Mock::given(path("/boot-images/PE/a")), refusal(404, "NoSuchKey"), 1).await;
    let client = S3Client::new(&site.config()).unwrap();
    let gone = client.get(&ObjectKey::new("PE/a"), &Etag::new("e"), 1).await;
    assert!(matches!(gone, Err(S3Error::Gone { .. })), "{gone:?}");
}

#[tokio::test]
async fn r14_a_listing_that_hangs_is_given_up_within_the_deadline() {
    let site = Site::new().await;
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: 999\r\n\r\n<?xml ";
    for answer in ["", begun] {
        let address = canned::serve(answer, Then::Hang).await;
        let config = config::S3 { endpoint: format!("http://{address}"), ..site.config() };
        let error = list(&config).await.unwrap_err();
        assert!(matches!(error, S3Error::Timeout { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn r14_a_listing_without_end_is_given_up_within_the_deadline() {
    let site = Site::new().await;
    let count = std::sync::atomic::AtomicU32::new(0);
    let endless = move |_: &Request| {
        let n = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Page::new().object(&format!("PE/{n}"), 1, "e").truncated(Some(&n.to_string())).answer()
    };
    Mock::given(method("GET")).respond_with(endless).expect(2..).mount(&site.server).await;
    let answer = site.list().await;
    assert!(matches!(answer, Err(S3Error::Timeout { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let site = Site::new().await;
    let endpoint = format!("http://{}", canned::closed_port().await);
    let config = config::S3 { endpoint: endpoint.clone(), timeout: 5 * DEADLINE, ..site.config() };
    let error = S3Client::new(&config).unwrap().list(&Relevant::default()).await.unwrap_err();
    assert_eq!(error.kind(), "failed");
    let because = format!("{endpoint} cannot be reached: Connection refused (os error 111)");
    assert_eq!(told(&error), format!("listing of bucket boot-images failed: {because}"));
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let nobody = "http://127.0.0.1:9";
    if site::runs_behind_proxy("s3::a_proxy_of_the_environment_is_not_used", nobody) {
        let site = Site::new().await;
        site.expect(page(None), Page::new().last().answer(), 1).await;
        assert!(site.list().await.is_ok());
    }
}
