//! Single objects on the wire: read, hashed, asked for.

use crate::s3::{Site, shown};
use crate::site::{DEADLINE, FOR_EVER, told};
use actors::model::{Etag, Md5Sum, ObjectKey};
use actors::ports::{PortError, S3Error, S3Port};
use sbps_marshal::config;
use sbps_marshal::s3::S3Client;
use support::canned::{self, Then};
use support::s3::refusal;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, ResponseTemplate};

const KEY: &str = "id/manifest.json";

/// A client of whatever listens there.
fn client_of(site: &Site, address: std::net::SocketAddr) -> S3Client {
    S3Client::new(&config::S3 { endpoint: format!("http://{address}"), ..site.config() }).unwrap()
}

async fn get(client: &S3Client, limit: u64) -> Result<Vec<u8>, S3Error> {
    let key = ObjectKey::new(KEY);
    shown(client, client.get(&key, &Etag::new("\"abc\""), limit).await)
}

async fn md5(client: &S3Client) -> Result<Md5Sum, S3Error> {
    let (key, etag) = (ObjectKey::new(KEY), Etag::new("abc"));
    let answer = tokio::time::timeout(FOR_EVER, client.md5(&key, &etag)).await;
    shown(client, answer.unwrap())
}

/// What is read, and what is hashed, of a server that gives this answer to a request for the listed ETag.
async fn got(answer: ResponseTemplate, limit: u64) -> [Result<Vec<u8>, S3Error>; 2] {
    let site = Site::new().await;
    let call = Mock::given(method("GET")).and(path("/boot-images/id/manifest.json"));
    site.expect(call.and(header("if-match", "\"abc\"")), answer, 2).await;
    let client = S3Client::new(&site.config()).unwrap();
    [get(&client, limit).await, md5(&client).await.map(|sum| sum.as_str().as_bytes().to_vec())]
}

/// Whether the object is there, by a server that gives this answer to a request for its first byte.
async fn is_there(answer: ResponseTemplate) -> Result<bool, S3Error> {
    let site = Site::new().await;
    let call = Mock::given(method("GET")).and(path("/boot-images/id/manifest.json"));
    site.expect(call.and(header("range", "bytes=0-0")), answer, 1).await;
    let client = S3Client::new(&site.config()).unwrap();
    shown(&client, client.is_there(&ObjectKey::new(KEY)).await)
}

fn proxys_404() -> ResponseTemplate {
    ResponseTemplate::new(404).set_body_raw("<html>no such route</html>", "text/html")
}

#[tokio::test]
async fn an_object_is_read_and_hashed_under_the_etag_it_was_listed_with() {
    let answer = ResponseTemplate::new(200).set_body_string("{\"version\"").insert_header("etag", "\"abc\"");
    let [read, hashed] = got(answer, 10).await;
    assert_eq!(read.unwrap(), b"{\"version\"");
    // printf '{"version"' | md5sum
    assert_eq!(hashed.unwrap(), b"7ef288855c0fffb894515666f48c572d");
}

#[tokio::test]
async fn an_object_that_is_gone_or_another_is_gone() {
    let another = ResponseTemplate::new(200).set_body_string("{}").insert_header("etag", "\"def\"");
    for answer in [refusal(404, "NoSuchKey"), refusal(412, "PreconditionFailed"), another] {
        for answer in got(answer, 10).await {
            assert!(matches!(answer, Err(S3Error::Gone { .. })), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn r2_a_404_that_does_not_speak_of_the_key_proves_nothing() {
    let said = [
        (refusal(404, "NoSuchBucket"), "S3 answered 404 NoSuchBucket: no"),
        (proxys_404(), "answered 404 without an S3 error code"),
    ];
    for (answer, said) in said {
        for answer in got(answer, 10).await {
            let error = answer.unwrap_err();
            let told = told(&error);
            assert_eq!((error.kind(), told), ("failed", format!("s3://boot-images/{KEY} failed: {said}")));
        }
    }
}

#[tokio::test]
async fn a_denied_object_is_denied() {
    for answer in got(refusal(403, "AccessDenied"), 10).await {
        let error = answer.unwrap_err();
        let said = format!("s3://boot-images/{KEY} was denied: S3 answered 403 AccessDenied: no");
        assert_eq!((error.kind(), told(&error)), ("denied", said));
    }
}

#[tokio::test]
async fn what_a_server_says_is_told_in_one_line_without_its_control_characters() {
    let message = format!("{}&#x1b;[2J&#10;level=error", "x".repeat(170));
    let xml = format!("<Error><Code>Bad\tOne</Code><Message>{message}</Message></Error>");
    let [read, _] = got(ResponseTemplate::new(400).set_body_raw(xml, "application/xml"), 10).await;
    let told = told(&read.unwrap_err());
    assert!(told.ends_with(r"x\u{1b}[2J\nlevel=error"), "{told}");
    assert!(!told.contains(char::is_control), "{told:?}");
}

#[tokio::test]
async fn an_object_larger_than_the_limit_is_refused_and_may_be_hashed() {
    let [read, hashed] = got(ResponseTemplate::new(200).set_body_string("eleven byte"), 10).await;
    assert!(matches!(read, Err(S3Error::TooLarge { limit: 10, .. })), "{read:?}");
    assert!(hashed.is_ok());
}

#[tokio::test]
async fn r14_an_object_that_does_not_end_is_given_up_within_the_deadline() {
    let site = Site::new().await;
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\netag: \"abc\"\r\n\r\n{";
    let client = client_of(&site, canned::serve(begun, Then::Hang).await);
    let read = get(&client, 10).await;
    assert!(matches!(read, Err(S3Error::Timeout { .. })), "{read:?}");
    let hashed = md5(&client).await;
    assert!(matches!(hashed, Err(S3Error::Timeout { .. })), "{hashed:?}");
}

#[tokio::test]
async fn r7_an_object_that_breaks_off_is_no_object() {
    let site = Site::new().await;
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\netag: \"abc\"\r\n\r\n{";
    let client = client_of(&site, canned::serve(short, Then::Close).await);
    let read = get(&client, 10).await;
    assert!(matches!(read, Err(S3Error::Failed { .. })), "{read:?}");
    let hashed = md5(&client).await;
    assert!(matches!(hashed, Err(S3Error::Failed { .. })), "{hashed:?}");
}

#[tokio::test]
async fn r14_the_deadline_of_an_object_that_is_hashed_is_for_each_chunk_and_not_for_all_of_them() {
    let site = Site::new().await;
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\netag: \"abc\"\r\n\r\n";
    let pause = DEADLINE / 8;
    let client = client_of(&site, canned::serve_slowly(head, "twelve bytes", pause).await);
    let begun = tokio::time::Instant::now();
    assert_eq!(md5(&client).await.unwrap().as_str(), "c91fa94e14cf2fa5474beceff788c0dc");
    assert!(begun.elapsed() > DEADLINE, "it took longer than one deadline");
}

#[tokio::test]
async fn manifests_are_fetched_side_by_side() {
    const COUNT: usize = 8;
    let site = Site::new().await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: \"abc\"\r\nconnection: close\r\n\r\n{}";
    // Nobody is answered before all have asked.
    let client = client_of(&site, canned::serve_together(COUNT, answer).await);
    let one = || get(&client, 10);
    let (a, b, c, d, e, f, g, h) = tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    for answer in [a, b, c, d, e, f, g, h] {
        assert_eq!(answer.unwrap(), b"{}");
    }
}

#[tokio::test]
async fn r2_an_object_is_there_if_its_first_byte_is_or_if_it_has_none() {
    let first = ResponseTemplate::new(206).set_body_string("{").insert_header("content-range", "bytes 0-0/9");
    let whole = ResponseTemplate::new(200).set_body_string("{\"a\": 1}");
    for answer in [first, whole, refusal(416, "InvalidRange")] {
        assert!(is_there(answer).await.unwrap());
    }
}

#[tokio::test]
async fn r2_an_object_is_gone_only_if_s3_itself_says_so_of_this_key() {
    assert!(!is_there(refusal(404, "NoSuchKey")).await.unwrap());
    for (answer, kind) in [
        (refusal(404, "NoSuchBucket"), "failed"),
        (proxys_404(), "failed"),
        (ResponseTemplate::new(404), "failed"),
        (refusal(403, "AccessDenied"), "denied"),
        (refusal(405, "MethodNotAllowed"), "failed"),
        (refusal(412, "PreconditionFailed"), "gone"),
    ] {
        assert_eq!(is_there(answer).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn an_object_of_any_size_is_there_without_being_read() {
    let site = Site::new().await;
    // A server that knows no ranges, and sends nothing of what it promises.
    let huge = "HTTP/1.1 200 OK\r\ncontent-length: 22095331328\r\netag: \"abc\"\r\n\r\nhsqs";
    let client = client_of(&site, canned::serve(huge, Then::Hang).await);
    assert!(client.is_there(&ObjectKey::new("id/rootfs")).await.unwrap());
}

#[tokio::test]
async fn r14_a_server_that_does_not_say_whether_an_object_is_there_is_given_up_within_the_deadline() {
    let site = Site::new().await;
    let client = client_of(&site, canned::serve("", Then::Hang).await);
    let answer = client.is_there(&ObjectKey::new(KEY)).await;
    assert!(matches!(answer, Err(S3Error::Timeout { .. })), "{answer:?}");
}

#[tokio::test]
async fn r2_a_key_that_would_become_another_one_in_an_url_is_not_asked_for() {
    let site = Site::new().await;
    site.expect(Mock::given(method("GET")), ResponseTemplate::new(200), 0).await;
    let client = S3Client::new(&site.config()).unwrap();
    for key in ["id/../other/rootfs", "../x", "id/./rootfs"] {
        let error = client.is_there(&ObjectKey::new(key)).await.unwrap_err();
        assert!(told(&error).ends_with("its key is no path that can be asked for"), "{}", told(&error));
    }
}
