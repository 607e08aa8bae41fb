//! The buckets: one that is listed without being there, and one that is filled.

use super::{IMAGES, id};
use aws_sdk_s3::primitives::ByteStream;
use std::collections::BTreeMap;
use support::node::{BUCKET, manifest};
use support::s3::{Page, client};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Keys of a page: what S3 servers give by default, and at most.
const PAGE: usize = 1000;
/// Uploads under way at once.
const AT_ONCE: usize = 16;
const ETAG: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// Bytes of an image.
const SIZE: u64 = 4096;

fn foreign_key(n: usize) -> String {
    format!("foreign/{:02x}/some-artifact-of-somebody-else-{n:07}", n % 256)
}

fn manifest_of(id: &str, etag: &str) -> String {
    manifest(&format!("s3://{BUCKET}/{id}/rootfs"), etag).to_string()
}

/// A server that lists so many foreign objects, and the images between them, in pages of 1000.
pub struct Paging {
    foreign: usize,
    /// After how many foreign objects each key of an image comes.
    images: BTreeMap<usize, [String; 2]>,
}

impl Paging {
    pub fn new(foreign: usize) -> Self {
        let place = |n: usize| n * foreign / IMAGES;
        let keys = |id: String| [format!("{id}/manifest.json"), format!("{id}/rootfs")];
        Paging { foreign, images: (0..IMAGES).map(|n| (place(n), keys(id(n)))).collect() }
    }

    pub async fn mount(self, server: &MockServer) {
        Mock::given(method("GET")).respond_with(self).mount(server).await;
    }

    fn page(&self, from: usize) -> Page {
        let to = (from + PAGE).min(self.foreign);
        let mut page = Page::new().encoded();
        for n in from..to {
            for key in self.images.get(&n).into_iter().flatten() {
                page = page.object(key, SIZE, ETAG);
            }
            page = page.object(&foreign_key(n), SIZE, ETAG);
        }
        if to < self.foreign { page.truncated(Some(&to.to_string())) } else { page.last() }
    }
}

impl Respond for Paging {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let of_query = |name: &str| request.url.query_pairs().find(|(key, _)| key == name);
        if of_query("list-type").is_some() {
            let from = of_query("continuation-token").map_or(0, |(_, token)| token.parse().unwrap());
            return self.page(from).answer();
        }
        let id = request.url.path().split('/').nth(2).unwrap_or_default();
        let manifest = manifest_of(id, ETAG);
        ResponseTemplate::new(200).set_body_string(manifest).insert_header("etag", format!("\"{ETAG}\""))
    }
}

/// Puts so many foreign objects and the images into the bucket of this server, if it is empty.
pub async fn fill(server: &str, foreign: usize) {
    let client = client(server);
    // The bucket may be there.
    let _ = client.create_bucket().bucket(BUCKET).send().await;
    let listed = client.list_objects_v2().bucket(BUCKET).max_keys(1).send().await.expect("a listing");
    if !listed.contents().is_empty() {
        return;
    }
    let put = |key: String, body: Vec<u8>| {
        let put = client.put_object().bucket(BUCKET).key(&key).body(ByteStream::from(body));
        async move { put.send().await.unwrap_or_else(|error| panic!("put {key}: {error:?}")) }
    };
    for n in 0..IMAGES {
        let id = id(n);
        let rootfs = put(format!("{id}/rootfs"), vec![b'h'; usize::try_from(SIZE).unwrap()]).await;
        let etag = rootfs.e_tag().expect("an ETag").trim_matches('"').to_owned();
        put(format!("{id}/manifest.json"), manifest_of(&id, &etag).into_bytes()).await;
    }
    let keys: Vec<String> = (0..foreign).map(foreign_key).collect();
    for keys in keys.chunks(AT_ONCE) {
        let puts: Vec<_> = keys.iter().map(|key| tokio::spawn(put(key.clone(), vec![b'x']))).collect();
        for put in puts {
            put.await.expect("an upload");
        }
    }
}
