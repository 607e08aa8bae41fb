//! The XML that S3 servers speak, and a client of real ones.

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Config, Region};
use wiremock::ResponseTemplate;

/// One page of a ListObjectsV2 answer.
#[derive(Clone, Debug, Default)]
pub struct Page {
    entries: String,
    encoding: &'static str,
    end: String,
}

impl Page {
    /// Without entries.
    pub fn new() -> Self {
        Page::default()
    }

    /// Adds an entry; the key goes into the XML as it is.
    pub fn object(mut self, key: &str, size: u64, etag: &str) -> Self {
        self.entries += &format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-20T20:41:32.000Z</LastModified>\
             <ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
        self
    }

    /// Adds the entries of a recorded listing.
    pub fn recorded(self, listing: &[serde_json::Value]) -> Self {
        listing.iter().fold(self, |page, entry| {
            let text = |field: &str| entry[field].as_str().expect("a text");
            let size = entry["Size"].as_u64().expect("a number");
            page.object(text("Key"), size, text("ETag").trim_matches('"'))
        })
    }

    /// Says that the keys are encoded, as a server does that understands `encoding-type=url`.
    pub fn encoded(mut self) -> Self {
        self.encoding = "<EncodingType>url</EncodingType>";
        self
    }

    /// More pages follow; with this token, if the server gives one.
    pub fn truncated(mut self, token: Option<&str>) -> Self {
        let token = token.map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
        self.end = format!("<IsTruncated>true</IsTruncated>{}", token.unwrap_or_default());
        self
    }

    /// No more pages follow.
    pub fn last(mut self) -> Self {
        self.end = "<IsTruncated>false</IsTruncated>".to_owned();
        self
    }

    /// The document.
    pub fn xml(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>boot-images</Name>\
             <Prefix></Prefix><MaxKeys>1000</MaxKeys>{}{}{}</ListBucketResult>",
            self.encoding, self.end, self.entries
        )
    }

    /// The answer 200.
    pub fn answer(&self) -> ResponseTemplate {
        ResponseTemplate::new(200).set_body_raw(self.xml(), "application/xml")
    }
}

/// An answer of S3 that refuses.
pub fn refusal(status: u16, code: &str) -> ResponseTemplate {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>no</Message>\
         <RequestId>tx0</RequestId><HostId>h</HostId></Error>"
    );
    ResponseTemplate::new(status).set_body_raw(xml, "application/xml")
}

/// A client of this S3 server, with the keys that the servers of the VM and of the bench know.
pub fn client(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("vmtest", "vmtest-secret", None, None, "vm"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}
