//! A torn listing is not a short one. The SDK's XML reader takes a document that breaks off after any element, or in the
//! middle of a number, for a complete one; and where the connection's end is the body's end, HTTP does not notice either.

use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Lets an answer pass only if it ends as a listing ends.
#[derive(Debug)]
pub struct CompleteListing;

impl Intercept for CompleteListing {
    fn name(&self) -> &'static str {
        "CompleteListing"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        let whole =
            answer.body().bytes().is_some_and(|body| body.trim_ascii_end().ends_with(b"</ListBucketResult>"));
        match whole || !answer.status().is_success() {
            true => Ok(()),
            false => Err("the listing breaks off, or is none".into()),
        }
    }
}
