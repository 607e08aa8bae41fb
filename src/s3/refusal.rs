//! What an error of the SDK means, and how it is told.

use crate::causes::{SHOWN, one_line};
use crate::plain::Plain;
use actors::ports::S3Error;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStreamError;

/// The HTTP status, if there was an answer.
pub fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// What an error of the SDK means. Gone needs the word of S3 itself: the 404 of a proxy or of a missing bucket says
/// nothing about the object (R2).
pub fn explained<E>(what: &str, error: SdkError<E>) -> S3Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let what = what.to_owned();
    let (status, source) = (status(&error), in_words(&error));
    tracing::debug!(what, status, code = error.code(), detail = %source, "S3 refused");
    let late = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    match (status, error.code()) {
        // versitygw answers 404 to a key that it does not know.
        (Some(401 | 403), _) | (Some(404), Some("XAdminUserNotFound")) => {
            S3Error::Denied { what, source: source.into() }
        }
        (Some(412), _) | (Some(404), Some("NoSuchKey")) => S3Error::Gone { what },
        _ if late => S3Error::Timeout { what },
        _ => S3Error::Failed { what, source: source.into() },
    }
}

/// What a body means that breaks off.
pub fn broken_off(what: &str, error: &ByteStreamError) -> S3Error {
    let source = Plain::new(format!("its body broke off: {}", Plain::cause_of(error)));
    S3Error::Failed { what: what.to_owned(), source: source.into() }
}

/// One line: what S3 said, or why it could say nothing.
fn in_words<E>(error: &SdkError<E>) -> Plain
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (status(error), error.code()) {
        (Some(status), Some(code)) => {
            let message = error.message().map(|message| format!(": {}", one_line(message, SHOWN)));
            Plain::new(format!(
                "S3 answered {status} {}{}",
                one_line(code, SHOWN),
                message.unwrap_or_default()
            ))
        }
        // The status of an error without a word of S3: something in between has answered.
        (Some(status), None) if status >= 400 => {
            Plain::new(format!("answered {status} without an S3 error code"))
        }
        (Some(status), None) => Plain::new(format!("answered {status}, but {}", Plain::cause_of(error))),
        (None, _) => Plain::cause_of(error),
    }
}
