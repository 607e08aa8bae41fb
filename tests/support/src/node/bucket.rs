//! The boot bucket, written to by an S3 client of its own.

use super::{BUCKET, Server};
use crate::s3::client;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use tokio::runtime::Handle;

/// `multipart_threshold` and `multipart_chunksize` of boto3's `Object.copy`, bytes.
const COPIED_IN_PARTS_OF: i64 = 8 << 20;
/// Uploads that are under way at once, of many.
const AT_ONCE: usize = 8;

/// The bucket of one of the VM's S3 servers.
pub struct Bucket {
    client: Client,
    runtime: Handle,
    server: Server,
}

impl Bucket {
    pub(super) fn new(runtime: Handle, server: Server) -> Self {
        Bucket { client: client(&format!("http://{}", server.host())), runtime, server }
    }

    /// Where it is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// Makes the bucket, on a server that has none.
    pub(super) fn create(&self) {
        self.runtime.block_on(async {
            let made = self.client.create_bucket().bucket(BUCKET).send().await;
            made.unwrap_or_else(|error| panic!("create {BUCKET}: {error:?}"));
        });
    }

    /// Uploads an object in one request; gives its ETag.
    pub fn put(&self, key: &str, bytes: &[u8]) -> String {
        self.try_put(key, bytes).unwrap_or_else(|error| panic!("put {key}: {error}"))
    }

    /// The same where the server may refuse.
    pub fn try_put(&self, key: &str, bytes: &[u8]) -> Result<String, String> {
        self.runtime.block_on(async {
            let body = ByteStream::from(bytes.to_vec());
            let put = self.client.put_object().bucket(BUCKET).key(key).body(body).send().await;
            put.map(|put| bare(put.e_tag())).map_err(|error| format!("{error:?}"))
        })
    }

    /// Uploads all of these, some at once, with one byte each.
    pub fn put_many(&self, keys: impl Iterator<Item = String>) {
        let keys: Vec<String> = keys.collect();
        self.runtime.block_on(async {
            for keys in keys.chunks(AT_ONCE) {
                let put = |key: &String| {
                    let put = self.client.put_object().bucket(BUCKET).key(key);
                    tokio::spawn(put.body(ByteStream::from_static(b"x")).send())
                };
                let under_way: Vec<_> = keys.iter().map(put).collect();
                for (key, put) in keys.iter().zip(under_way) {
                    put.await.expect("an upload").unwrap_or_else(|error| panic!("put {key}: {error:?}"));
                }
            }
        });
    }

    /// Uploads an object that s3fs shows as a symlink to what its body says (facts 4.3).
    pub fn put_symlink(&self, key: &str, target: &str) {
        self.runtime.block_on(async {
            let body = ByteStream::from(target.as_bytes().to_vec());
            let put = self.client.put_object().bucket(BUCKET).key(key).body(body).metadata("mode", "41471");
            put.send().await.unwrap_or_else(|error| panic!("put {key}: {error:?}"));
        });
    }

    /// Uploads in so many parts of equal size, so that the ETag ends in `-N`; 0: in one plain request.
    pub fn put_in_parts(&self, key: &str, bytes: &[u8], parts: usize) -> String {
        if parts == 0 {
            return self.put(key, bytes);
        }
        self.runtime.block_on(async {
            let begun = self.client.create_multipart_upload().bucket(BUCKET).key(key).send().await;
            let upload = begun.expect("a multipart upload").upload_id.expect("an upload id");
            let mut completed = CompletedMultipartUpload::builder();
            for (number, chunk) in (1..).zip(bytes.chunks(bytes.len().div_ceil(parts))) {
                let part = self.client.upload_part().bucket(BUCKET).key(key).upload_id(&upload);
                let part = part.part_number(number).body(ByteStream::from(chunk.to_vec())).send().await;
                let etag = part.expect("a part").e_tag.expect("the part's ETag");
                completed = completed.parts(CompletedPart::builder().part_number(number).e_tag(etag).build());
            }
            let done = self.client.complete_multipart_upload().bucket(BUCKET).key(key).upload_id(upload);
            done.multipart_upload(completed.build()).send().await.expect("the whole upload");
        });
        // The SDK finds none in radosgw's answer to that.
        self.etag(key)
    }

    /// The ETag that the server lists.
    pub fn etag(&self, key: &str) -> String {
        self.runtime.block_on(async {
            let head = self.client.head_object().bucket(BUCKET).key(key).send().await;
            bare(head.unwrap_or_else(|error| panic!("head {key}: {error:?}")).e_tag())
        })
    }

    /// Deletes an object.
    pub fn delete(&self, key: &str) {
        self.runtime.block_on(async {
            let deleted = self.client.delete_object().bucket(BUCKET).key(key).send().await;
            deleted.unwrap_or_else(|error| panic!("delete {key}: {error:?}"));
        });
    }

    /// The bytes of an object; `None` if it is not there.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.runtime.block_on(async {
            let got = self.client.get_object().bucket(BUCKET).key(key).send().await;
            let object = match got {
                Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => {
                    return None;
                }
                got => got.unwrap_or_else(|error| panic!("get {key}: {error:?}")),
            };
            Some(object.body.collect().await.expect("all of its bytes").to_vec())
        })
    }

    /// Moves an object as IMS does, whose boto3 copies what has 8 MiB or more in parts of 8 MiB, however it was
    /// uploaded, and then deletes the old one. Gives the ETag of the new one; `None` if there is none to be moved.
    pub fn rename(&self, key: &str, to: &str) -> Option<String> {
        let etag = self.runtime.block_on(async {
            let head = self.client.head_object().bucket(BUCKET).key(key).send().await;
            let size = match head {
                Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => {
                    return None;
                }
                head => head.unwrap_or_else(|error| panic!("head {key}: {error:?}")).content_length(),
            };
            let size = size.expect("its size");
            let source = format!("{BUCKET}/{key}");
            if size < COPIED_IN_PARTS_OF {
                let copy = self.client.copy_object().bucket(BUCKET).key(to).copy_source(source).send().await;
                let copy = copy.unwrap_or_else(|error| panic!("copy {key}: {error:?}")).copy_object_result;
                return Some(bare(copy.expect("what was copied").e_tag()));
            }
            let begun = self.client.create_multipart_upload().bucket(BUCKET).key(to).send().await;
            let upload = begun.expect("a multipart upload").upload_id.expect("an upload id");
            let mut completed = CompletedMultipartUpload::builder();
            let starts = (0..size).step_by(usize::try_from(COPIED_IN_PARTS_OF).expect("a few MiB"));
            for (number, first) in (1..).zip(starts) {
                let last = size.min(first + COPIED_IN_PARTS_OF) - 1;
                let part = self.client.upload_part_copy().bucket(BUCKET).key(to).upload_id(&upload);
                let part = part.part_number(number).copy_source(&source);
                let part = part.copy_source_range(format!("bytes={first}-{last}")).send().await;
                let part = part.unwrap_or_else(|error| panic!("copy {key}: {error:?}")).copy_part_result;
                let etag = part.expect("a part").e_tag.expect("the part's ETag");
                completed = completed.parts(CompletedPart::builder().part_number(number).e_tag(etag).build());
            }
            let done = self.client.complete_multipart_upload().bucket(BUCKET).key(to).upload_id(upload);
            let done = done.multipart_upload(completed.build()).send().await.expect("the whole copy");
            Some(bare(done.e_tag()))
        })?;
        self.delete(key);
        Some(etag)
    }

    /// The lines of the server's access log from `line` on: one a request, from every client.
    pub fn access_log(&self, line: usize) -> Vec<String> {
        let log = std::fs::read_to_string(self.server.access_log()).unwrap_or_default();
        log.lines().skip(line).map(str::to_owned).collect()
    }

    /// What s3fs has written to the bucket, as the server's access log has it. It should never be anything.
    pub fn written_by_s3fs(&self) -> Vec<String> {
        let reads = ["s3_Head", "s3_Get", "s3_List", "\"HEAD /", "\"GET /"];
        let writes = |line: &String| line.contains("s3fs/") && !reads.iter().any(|read| line.contains(read));
        self.access_log(0).into_iter().filter(writes).collect()
    }
}

fn bare(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
