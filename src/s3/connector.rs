//! The AWS SDK's requests over the HTTP client that also asks IMS: the SDK's own takes no other roots than those that the
//! process saw first, and can neither trust less nor be told anew whom to trust.

use crate::plain::Plain;
use crate::tls::{Https, is_of_certificate, unreached};
use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::{BoxError, ConnectorError};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use reqwest::{Body, Request};

/// For the SDK's configuration.
pub fn over(https: Https) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(https));
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Debug)]
struct Connector(Https);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.client();
        HttpConnectorFuture::new(async move {
            let request = as_it_was_signed(request).map_err(ConnectorError::user)?;
            let endpoint = request.url().origin().ascii_serialization();
            let answer = client.execute(request).await.map_err(|error| unanswered(&endpoint, error))?;
            let answer = http::Response::<Body>::from(answer).map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// An URL may be put into order on its way (`..` is resolved), and then its signature is another's.
fn as_it_was_signed(request: HttpRequest) -> Result<Request, BoxError> {
    let request = request.try_into_http1x()?;
    let signed = request.uri().path().to_owned();
    let request = Request::try_from(request.map(Body::wrap))?;
    match request.url().path() == signed {
        true => Ok(request),
        false => Err(Plain::new("its key is no path that can be asked for").into()),
    }
}

/// All is worth another attempt but a certificate that was refused.
fn unanswered(endpoint: &str, error: reqwest::Error) -> ConnectorError {
    let told = Plain::new(format!("{endpoint} cannot be reached: {}", unreached("s3", &error)));
    match &error {
        error if error.is_timeout() => ConnectorError::timeout(told.into()),
        error if is_of_certificate(error) => ConnectorError::other(told.into(), None),
        _ => ConnectorError::io(told.into()),
    }
}
