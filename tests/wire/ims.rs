//! The IMS client on the wire.

use crate::site::{self, FOR_EVER, told};
use actors::ports::{ImsError, ImsPort, Token};
use sbps_marshal::config;
use sbps_marshal::ims::ImsClient;
use serde_json::Value;
use support::canned::{self, Then};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const V2: &str = include_str!("../../fixtures/ims-v2-images.json");
const V3: &str = include_str!("../../fixtures/ims-v3-images.json");

/// Asks, with a token, a server that gives this answer and must be asked exactly once.
async fn answered(answer: ResponseTemplate) -> Result<Vec<Value>, ImsError> {
    let server = MockServer::start().await;
    let call = Mock::given(method("GET")).and(path("/apis/ims/v3/images"));
    let call = call.and(header("authorization", "Bearer geheim")).respond_with(answer);
    call.expect(1).mount(&server).await;
    ask(format!("{}/apis/ims/v3/images", server.uri())).await
}

async fn ask(url: String) -> Result<Vec<Value>, ImsError> {
    let client = ImsClient::new(&site::ims(url)).unwrap();
    let token = Token::new("geheim");
    let answer = tokio::time::timeout(FOR_EVER, client.list_images(Some(&token))).await.unwrap();
    if let Err(error) = &answer {
        assert!(!format!("{client:?} {error:?} {}", told(error)).contains("geheim"), "{error:?}");
    }
    answer
}

fn json(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

#[tokio::test]
async fn the_recorded_lists_of_v2_and_v3_are_read_record_by_record() {
    for recorded in [V2, V3] {
        let images = answered(json(recorded)).await.unwrap();
        assert_eq!(Value::from(images), serde_json::from_str::<Value>(recorded).unwrap());
    }
}

#[tokio::test]
async fn an_empty_list_is_an_answer() {
    assert_eq!(answered(json("[]")).await.unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn without_a_token_there_is_no_authorization() {
    let server = MockServer::start().await;
    let bare = |request: &Request| !request.headers.contains_key("authorization");
    Mock::given(bare).respond_with(json("[]")).expect(1).mount(&server).await;
    assert!(ImsClient::new(&site::ims(server.uri())).unwrap().list_images(None).await.is_ok());
}

#[tokio::test]
async fn a_refused_token_is_told_from_every_other_refusal() {
    for status in [401, 403] {
        let error = answered(ResponseTemplate::new(status)).await.unwrap_err();
        assert!(
            matches!(error, ImsError::Unauthorized { status: found, .. } if found == status),
            "{error:?}"
        );
    }
    for status in [204, 404, 429, 500, 502, 503, 504] {
        let error = answered(ResponseTemplate::new(status)).await.unwrap_err();
        assert!(matches!(error, ImsError::Status { status: found, .. } if found == status), "{error:?}");
    }
}

#[tokio::test]
async fn who_answers_429_or_503_with_retry_after_is_not_asked_again_before() {
    for status in [429, 503] {
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(status).insert_header("retry-after", "3600");
        Mock::given(method("GET")).respond_with(busy).expect(1).mount(&server).await;
        let client = ImsClient::new(&site::ims(server.uri())).unwrap();
        for _ in 0..3 {
            let error = client.list_images(None).await.unwrap_err();
            assert!(matches!(error, ImsError::Status { status: found, .. } if found == status), "{error:?}");
        }
    }
}

#[tokio::test]
async fn who_says_no_time_or_one_that_has_passed_is_asked_again_and_believed() {
    let server = MockServer::start().await;
    for header in ["0", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let busy = ResponseTemplate::new(429).insert_header("retry-after", header);
        Mock::given(method("GET")).respond_with(busy).up_to_n_times(1).expect(1).mount(&server).await;
    }
    Mock::given(method("GET")).respond_with(json("[]")).expect(1).mount(&server).await;
    let client = ImsClient::new(&site::ims(server.uri())).unwrap();
    assert!(client.list_images(None).await.is_err() && client.list_images(None).await.is_err());
    assert!(client.list_images(None).await.is_ok());
}

#[tokio::test]
async fn a_redirect_is_not_followed_because_the_token_would_travel() {
    let elsewhere = MockServer::start().await;
    Mock::given(method("GET")).respond_with(json("[]")).expect(0).mount(&elsewhere).await;
    let moved = ResponseTemplate::new(302).insert_header("location", elsewhere.uri());
    let error = answered(moved).await.unwrap_err();
    assert!(matches!(error, ImsError::Status { status: 302, .. }), "{error:?}");
}

#[tokio::test]
async fn r2_what_is_no_json_array_is_no_list() {
    for body in ["<html>Bad gateway</html>", "", "{}", "null", "{\"images\": []}", "[{\"id\": 1}", "[] []"] {
        let error = answered(json(body)).await.unwrap_err();
        assert!(matches!(error, ImsError::Body { .. }), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn r2_a_body_that_nobody_asked_to_be_packed_is_no_list() {
    // gzip of "[]": we do not say that we take it.
    let packed = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 139, 142, 5, 0, 41, 187, 76, 13, 2, 0, 0, 0];
    let answer = ResponseTemplate::new(200).insert_header("content-encoding", "gzip");
    let error = answered(answer.set_body_bytes(packed)).await.unwrap_err();
    assert!(matches!(error, ImsError::Body { .. }), "{error:?}");
}

#[tokio::test]
async fn r14_a_body_beyond_the_bound_is_not_read_to_its_end() {
    let server = MockServer::start().await;
    let endless = ResponseTemplate::new(200).set_body_bytes(vec![b' '; (64 << 20) + 1]);
    Mock::given(method("GET")).respond_with(endless).expect(1).mount(&server).await;
    // Time enough for all of it, on any machine.
    let config = config::Ims { timeout: FOR_EVER, ..site::ims(server.uri()) };
    let error = ImsClient::new(&config).unwrap().list_images(None).await.unwrap_err();
    assert!(told(&error).contains("more than 67108864 bytes"), "{}", told(&error));
}

#[tokio::test]
async fn r14_headers_that_trickle_are_given_up_within_the_deadline() {
    let address = canned::serve("HTTP/1.1 200 OK\r\ncontent-type: appl", Then::Hang).await;
    let error = ask(format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, ImsError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn r2_a_body_that_breaks_off_is_no_list() {
    let short = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[]";
    let address = canned::serve(short, Then::Close).await;
    let error = ask(format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, ImsError::Body { .. }), "{error:?}");
}

#[tokio::test]
async fn r14_a_body_that_does_not_end_is_given_up_within_the_deadline() {
    let started = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[";
    let address = canned::serve(started, Then::Hang).await;
    let error = ask(format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, ImsError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn r14_a_server_that_says_nothing_is_given_up_within_the_deadline() {
    let address = canned::serve("", Then::Hang).await;
    let error = ask(format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(error, ImsError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let url = format!("http://{}/", canned::closed_port().await);
    let error = ask(url.clone()).await.unwrap_err();
    assert!(matches!(error, ImsError::Connect { .. }), "{error:?}");
    assert_eq!(told(&error), format!("{url} cannot be reached: Connection refused (os error 111)"));
}

#[tokio::test]
async fn a_proxy_of_the_environment_is_not_used() {
    let nobody = "http://127.0.0.1:9";
    if site::runs_behind_proxy("ims::a_proxy_of_the_environment_is_not_used", nobody) {
        assert!(answered(json("[]")).await.is_ok());
    }
}
