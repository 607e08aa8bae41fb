//! The boot bucket over the AWS SDK: listed to the last page, and read object by object.

mod keys;
mod listing;
mod whole;

use crate::config;
use crate::tls::{TlsError, Trust};
use actors::model::{Etag, ObjectIndex, ObjectKey, Relevant};
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
use std::future::Future;
use std::time::Duration;

/// Of one request. A gateway that restarts is worth a second and third try; one that is down is asked again next pass.
const ATTEMPTS: u32 = 3;

/// Before the second attempt, at most; doubled before the third.
const BACKOFF: Duration = Duration::from_millis(200);

/// The boot bucket.
#[derive(Debug)]
pub struct S3Client {
    client: Client,
    bucket: String,
    keys: keys::KeyFile,
    timeout: Duration,
}

impl S3Client {
    /// Nothing is asked and no credential read yet; only a bad CA bundle fails here.
    pub fn new(config: &config::S3) -> Result<Self, TlsError> {
        // An attempt that hangs leaves time for another one.
        let attempt = config.timeout / 2;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(config.connect_timeout)
            .read_timeout(attempt)
            .operation_attempt_timeout(attempt)
            .build();
        let sdk = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(Trust::load(config.ca_bundle.as_deref())?.aws()?)
            .endpoint_url(&config.endpoint)
            .region(Region::new(config.region.clone()))
            // A gateway has one name, not one for each bucket.
            .force_path_style(true)
            // The SDK's own checksums are headers and trailers that Ceph and others choke on (FIELD P43).
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(BACKOFF))
            .build();
        Ok(S3Client {
            client: Client::from_conf(sdk),
            bucket: config.bucket.clone(),
            keys: keys::KeyFile::new(config.credential_file.clone()),
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
        let keys = self.keys.read()?;
        let answer = send(keys.clone()).await;
        if let Err(S3Error::Denied { .. }) = answer {
            let fresh = self.keys.read()?;
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
                request.customize().config_override(signing).interceptor(whole::WholeListing).send().await
            });
            token = pages.add(&page.await?)?;
            if token.is_none() {
                return Ok(pages.into_index());
            }
        }
    }

    async fn whole_object(
        &self,
        what: &str,
        key: &ObjectKey,
        etag: &Etag,
        limit: u64,
    ) -> Result<Vec<u8>, S3Error> {
        let object = self.signed(what, async |signing| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str());
            let request = request.if_match(format!("\"{}\"", etag.as_str()));
            request.customize().config_override(signing).send().await
        });
        let object = object.await?;
        // For servers that do not know If-Match.
        if object.e_tag().is_some_and(|found| Etag::new(found) != *etag) {
            return Err(S3Error::Gone { what: what.to_owned() });
        }
        body(what, object, limit).await
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
        self.within(&what, self.every_page(&what, relevant)).await
    }

    async fn get(&self, key: &ObjectKey, etag: &Etag, limit: u64) -> Result<Vec<u8>, S3Error> {
        let what = format!("s3://{}/{key}", self.bucket);
        self.within(&what, self.whole_object(&what, key, etag, limit)).await
    }

    async fn is_there(&self, key: &ObjectKey) -> Result<bool, S3Error> {
        let what = format!("s3://{}/{key}", self.bucket);
        let first_byte = self.signed(&what, async |signing| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str()).range("bytes=0-0");
            request.customize().config_override(signing).send().await
        });
        match self.within(&what, first_byte).await {
            Ok(_) => Ok(true),
            Err(S3Error::Gone { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn md5(&self, key: &ObjectKey, _: &Etag) -> Result<String, S3Error> {
        Err(S3Error::Gone { what: key.to_string() })
    }
}

/// Read chunk by chunk, because the length that a server announces proves nothing.
async fn body(what: &str, mut object: GetObjectOutput, limit: u64) -> Result<Vec<u8>, S3Error> {
    let mut body = Vec::new();
    while let Some(chunk) = object
        .body
        .try_next()
        .await
        .map_err(|source| S3Error::Failed { what: what.to_owned(), source: source.into() })?
    {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(S3Error::TooLarge { what: what.to_owned(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    tracing::debug!(what, bytes = body.len(), "S3 object");
    Ok(body)
}

/// What an error of the SDK means. Gone needs the word of S3 itself: the 404 of a proxy or of a missing bucket says
/// nothing about the object (R2).
fn explained<E>(what: &str, error: SdkError<E>) -> S3Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let what = what.to_owned();
    let status = error.raw_response().map(|response| response.status().as_u16());
    tracing::debug!(what, status, code = error.code(), "S3 refused");
    let late = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    match (status, error.code()) {
        (Some(401 | 403), _) => S3Error::Denied { what, source: error.into() },
        (Some(412), _) | (Some(404), Some("NoSuchKey")) => S3Error::Gone { what },
        _ if late => S3Error::Timeout { what },
        _ => S3Error::Failed { what, source: error.into() },
    }
}
