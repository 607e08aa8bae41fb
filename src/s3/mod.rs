//! The boot bucket over the AWS SDK: listed to the last page, and read object by object.

mod complete_listing;
mod connector;
mod credentials;
mod listing;
mod object;
mod refusal;

use crate::config;
use crate::tls::{Https, Service, TlsError};
use actors::decide::retry::s3_attempts;
use actors::model::{Etag, Md5Sum, ObjectIndex, ObjectKey, Relevant};
use actors::ports::{S3Error, S3Port};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::EncodingType;
#[cfg(fuzzing)]
pub use credentials::fuzz;
use refusal::{explained, status};
use std::future::Future;
use std::time::Duration;

/// The boot bucket.
#[derive(Debug)]
pub struct S3Client {
    client: Client,
    https: Https,
    bucket: String,
    keys: credentials::CredentialFile,
    timeout: Duration,
}

impl S3Client {
    /// Nothing is asked and no credential read yet; only a bad CA bundle fails here.
    pub fn new(config: &config::S3) -> Result<Self, TlsError> {
        let attempts = s3_attempts(config.timeout);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempts.limit).build();
        let retries = RetryConfig::standard()
            .with_max_attempts(attempts.count)
            .with_initial_backoff(attempts.first_wait)
            .with_max_backoff(attempts.longest_wait);
        let https = Https::new(Service {
            name: "s3",
            ca_bundle: config.ca_bundle.clone(),
            insecure: config.insecure,
            connect_timeout: config.connect_timeout,
            timeout: None,
        })?;
        let sdk = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(connector::over(https.clone()))
            .endpoint_url(&config.endpoint)
            .region(Region::new(config.region.clone()))
            // A gateway has one name, not one for each bucket.
            .force_path_style(true)
            // The SDK's own checksums are headers and trailers that Ceph and others choke on (facts P43).
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(timeouts)
            .retry_config(retries)
            .build();
        Ok(S3Client {
            client: Client::from_conf(sdk),
            https,
            bucket: config.bucket.clone(),
            // Well before the whole request is given up: else a hung file would be told as a hung S3.
            keys: credentials::CredentialFile::new(config.credential_file.clone(), config.timeout / 4),
            timeout: config.timeout,
        })
    }

    /// Sends a request, signed with what the key file says now. Refused, it is signed once more if the file says
    /// something else by then: keys rotate under us.
    async fn signed<T, E>(
        &self,
        what: &str,
        request: impl AsyncFn(Builder) -> Result<T, SdkError<E>>,
    ) -> Result<T, S3Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let send = async |keys: Credentials| {
            request(Config::builder().credentials_provider(keys))
                .await
                .map_err(|error| explained(what, error))
        };
        let keys = self.keys.read().await?;
        let answer = send(keys.clone()).await;
        if let Err(S3Error::Denied { .. }) = answer {
            let fresh = self.keys.read().await?;
            if fresh != keys {
                tracing::debug!(what, "S3 denied the old keys; trying the new ones");
                return send(fresh).await;
            }
        }
        answer
    }

    /// Every page. Keys are asked for with `encoding-type=url`, because XML cannot carry control characters: one
    /// object named `\x01` would break the listing for good (AWS, Ceph), or be listed as another key (MinIO).
    /// A server that does not know the parameter (versitygw) sends plain keys and no `EncodingType`, so only what
    /// says that it is encoded is decoded. The predecessor's boto3 has always asked and decoded in this way: it is
    /// the form in which every S3 of the field has been read for years.
    async fn every_page(&self, what: &str, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        let mut pages = listing::Pages::new(what, relevant);
        let mut token = None;
        loop {
            let page = self.signed(what, async |signing| {
                let request = self.client.list_objects_v2().bucket(&self.bucket);
                let request = request.encoding_type(EncodingType::Url).set_continuation_token(token.clone());
                request
                    .customize()
                    .config_override(signing)
                    .interceptor(complete_listing::CompleteListing)
                    .send()
                    .await
            });
            token = pages.add(&page.await?)?;
            if token.is_none() {
                return Ok(pages.into_index());
            }
        }
    }

    /// The object as it was listed under this ETag; nothing of its body has been read.
    async fn opened(&self, what: &str, key: &ObjectKey, etag: &Etag) -> Result<GetObjectOutput, S3Error> {
        let object = self.signed(what, async |signing| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str());
            let request = request.if_match(format!("\"{}\"", etag.as_str()));
            request.customize().config_override(signing).send().await
        });
        let object = object.await?;
        // For servers that do not know If-Match.
        match object.e_tag().is_some_and(|found| Etag::new(found) != *etag) {
            true => Err(S3Error::Gone { what: what.to_owned() }),
            false => Ok(object),
        }
    }

    /// Asks for the first byte, because the 404 of a HEAD has no body: it cannot tell a missing key from a missing
    /// bucket, or from a proxy that knows no such route. What comes is dropped unread, and the connection with it if a
    /// server without ranges sends more.
    async fn has(&self, what: &str, key: &ObjectKey) -> Result<bool, S3Error> {
        self.signed(what, async |signing| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str()).range("bytes=0-0");
            match request.customize().config_override(signing).send().await {
                Ok(_) => Ok(true),
                Err(error) => match (status(&error), error.code()) {
                    // An empty object has no first byte.
                    (Some(416), _) => Ok(true),
                    (Some(404), Some("NoSuchKey")) => Ok(false),
                    _ => Err(error),
                },
            }
        })
        .await
    }

    fn named(&self, key: &ObjectKey) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    async fn within<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, S3Error>>,
    ) -> Result<T, S3Error> {
        let late = |_| Err(S3Error::Timeout { what: what.to_owned() });
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(late)
    }
}

impl S3Port for S3Client {
    async fn list(&self, relevant: &Relevant) -> Result<ObjectIndex, S3Error> {
        let what = format!("listing of bucket {}", self.bucket);
        // Once in a pass: each begins with a listing.
        self.https.look().await;
        self.within(&what, self.every_page(&what, relevant)).await
    }

    async fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64) -> Result<Vec<u8>, S3Error> {
        let what = self.named(key);
        let read = async { object::whole(&what, self.opened(&what, key, etag).await?, limit).await };
        self.within(&what, read).await
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, S3Error> {
        let what = self.named(key);
        self.within(&what, self.has(&what, key)).await
    }

    async fn md5(&self, key: &ObjectKey, etag: &Etag) -> Result<Md5Sum, S3Error> {
        let what = self.named(key);
        let object = self.within(&what, self.opened(&what, key, etag)).await?;
        object::md5(&what, object, self.timeout).await
    }
}
