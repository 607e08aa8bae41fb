//! An HTTP server with IMS' list of images: the records have the form of those recorded from IMS 3.33.

use super::BUCKET;
use crate::spire::verified;
use serde_json::{Value, json};
use spiffe::JwtBundleSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// The image management service.
pub struct Ims {
    server: MockServer,
    images: Images,
    /// The records of images that were deleted.
    deleted: Mutex<Vec<Value>>,
}

#[derive(Clone, Default)]
struct Images(Arc<Mutex<Vec<Value>>>, Arc<Mutex<Door>>);

/// Who is let in.
#[derive(Default)]
struct Door {
    /// SPIRE's keys; without them, everybody.
    keys: Option<JwtBundleSet>,
    /// Whose requests were answered, in order.
    callers: Vec<String>,
    /// Why others were not.
    refused: Vec<String>,
    /// How many came, let in or not.
    came: usize,
}

impl Respond for Images {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut door = self.1.lock().expect("the door");
        door.came += 1;
        if let Some(keys) = &door.keys {
            let header = request.headers.get("authorization").and_then(|value| value.to_str().ok());
            let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or("no token".to_owned());
            match token.and_then(|token| verified(token, keys)) {
                Ok(caller) => door.callers.push(caller),
                Err(why) => {
                    door.refused.push(why);
                    return ResponseTemplate::new(401);
                }
            }
        }
        ResponseTemplate::new(200).set_body_json(&*self.0.lock().expect("the images"))
    }
}

impl Ims {
    pub(super) async fn start() -> Self {
        let images = Images::default();
        let server = MockServer::start().await;
        let list = Mock::given(method("GET")).and(path("/apis/ims/v3/images"));
        list.respond_with(images.clone()).mount(&server).await;
        Ims { server, images, deleted: Mutex::default() }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn gateway(&self) -> String {
        self.server.uri()
    }

    /// From now on only who has a token that these keys have signed is answered, as behind CSM's gateway; others get 401.
    pub fn requires(&self, keys: JwtBundleSet) {
        self.images.1.lock().expect("the door").keys = Some(keys);
    }

    /// From now on nobody is answered but with 401; or everybody again.
    pub fn refuses(&self, refuses: bool) {
        self.images.1.lock().expect("the door").keys = refuses.then(JwtBundleSet::new);
    }

    /// The SPIFFE IDs of the callers that were answered since the last question, in order, and why others were refused.
    pub fn take_callers(&self) -> (Vec<String>, Vec<String>) {
        let mut door = self.images.1.lock().expect("the door");
        (std::mem::take(&mut door.callers), std::mem::take(&mut door.refused))
    }

    /// How often it was asked since it was started.
    pub fn asked(&self) -> usize {
        self.images.1.lock().expect("the door").came
    }

    /// Adds the record of an image whose manifest is where IMS puts it.
    pub fn add(&self, id: &str, tagged: bool) {
        let link = json!({"path": format!("s3://{BUCKET}/{id}/manifest.json"), "etag": "", "type": "s3"});
        self.add_record(json!({
            "id": id, "name": id, "arch": "x86_64", "created": "2026-11-20T20:41:32.577283",
            "link": link, "metadata": metadata(tagged),
        }));
    }

    /// Adds a record as it is.
    pub fn add_record(&self, record: Value) {
        self.images.0.lock().expect("the images").push(record);
    }

    /// What BOS' and an admin's PATCH do.
    pub fn tag(&self, id: &str, tagged: bool) {
        for image in self.images.0.lock().expect("the images").iter_mut().filter(|image| image["id"] == id) {
            image["metadata"] = metadata(tagged);
        }
    }

    /// Answers `[]` from now on. Gives what it had listed.
    pub fn clear(&self) -> Vec<Value> {
        std::mem::take(&mut *self.images.0.lock().expect("the images"))
    }

    /// Lists these records again.
    pub fn restore(&self, records: Vec<Value>) {
        *self.images.0.lock().expect("the images") = records;
    }

    /// The record that is listed under this id.
    pub(super) fn record(&self, id: &str) -> Value {
        let images = self.images.0.lock().expect("the images");
        images.iter().find(|image| image["id"] == id).unwrap_or_else(|| panic!("no image {id}")).clone()
    }

    /// A listed record becomes that of a deleted image.
    pub(super) fn delete(&self, deleted: Value) {
        self.images.0.lock().expect("the images").retain(|image| image["id"] != deleted["id"]);
        self.deleted.lock().expect("the deleted images").push(deleted);
    }

    /// The record of a deleted image, no more kept here.
    pub(super) fn take_deleted(&self, id: &str) -> Value {
        let mut deleted = self.deleted.lock().expect("the deleted images");
        let place = deleted.iter().position(|image| image["id"] == id);
        deleted.remove(place.unwrap_or_else(|| panic!("no deleted image {id}")))
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        *self.server.address()
    }

    pub(super) async fn take_requests(&self) -> usize {
        let count = self.server.received_requests().await.unwrap_or_default().len();
        self.server.reset().await;
        let list = Mock::given(method("GET")).and(path("/apis/ims/v3/images"));
        list.respond_with(self.images.clone()).mount(&self.server).await;
        count
    }
}

fn metadata(tagged: bool) -> Value {
    if tagged { json!({"sbps-project": "true"}) } else { json!({}) }
}
