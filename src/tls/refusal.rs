//! Why a server could not be reached, in one line: what was said, and what rustls' terse words mean for a person.

use crate::causes::chain;
use crate::plain::Plain;
use rustls::CertificateError::{
    BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
    NotValidYetContext, UnknownIssuer,
};
use std::error::Error;
use std::io;

/// The cause of an error of the client that asks this service, and its remedy if it lies in TLS.
pub fn unreached(service: &str, error: &(dyn Error + 'static)) -> Plain {
    let cause = Plain::cause_of(error);
    match chain(error).find_map(of_rustls).and_then(|refusal| remedy(service, refusal)) {
        Some(remedy) => Plain::new(format!("{cause}: {remedy}")),
        None => cause,
    }
}

/// Whether the server's certificate was refused: asking once more would not help.
pub fn is_of_certificate(error: &(dyn Error + 'static)) -> bool {
    chain(error)
        .find_map(of_rustls)
        .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// An I/O error does not name what it holds as its source, but what that has for one.
fn of_rustls<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match cause.downcast_ref::<rustls::Error>() {
        Some(error) => Some(error),
        None => of_rustls(cause.downcast_ref::<io::Error>()?.get_ref()?),
    }
}

fn remedy(service: &str, refusal: &rustls::Error) -> Option<String> {
    let certificate = match refusal {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::InvalidMessage(_) => {
            return Some("no TLS is spoken there: see the port, or use http".to_owned());
        }
        _ => return None,
    };
    match certificate {
        // The second: of a CA that was made anew under its old name.
        UnknownIssuer | BadSignature => Some(format!(
            "the CA that issued it is not trusted: put that CA, not the server's own certificate, into {service}.ca_bundle"
        )),
        Expired | ExpiredContext { .. } => {
            Some("it has expired: renew it on the server, and see this node's clock".to_owned())
        }
        NotValidYet | NotValidYetContext { .. } => {
            Some("it is not valid yet: see the clocks of the server and of this node".to_owned())
        }
        NotValidForName | NotValidForNameContext { .. } => {
            let key = if service == "ims" { "ims.gateway" } else { "s3.host" };
            Some(format!("it is for another host: set {key} to a name that it has"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustls_says_is_found_in_every_wrapping_and_told_with_its_remedy() {
        let refused = || rustls::Error::InvalidCertificate(UnknownIssuer);
        let once = io::Error::new(io::ErrorKind::InvalidData, refused());
        let twice = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused()));
        for error in [&refused() as &(dyn Error + 'static), &once, &twice] {
            let told = unreached("s3", error).to_string();
            assert!(
                told.starts_with("invalid peer certificate: UnknownIssuer: the CA that issued it"),
                "{told}"
            );
            assert!(told.ends_with("into s3.ca_bundle") && is_of_certificate(error), "{told}");
        }
    }

    #[test]
    fn what_is_no_matter_of_tls_is_told_as_it_is() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(unreached("ims", &refused).to_string(), "Connection refused (os error 111)");
        assert!(!is_of_certificate(&refused));
    }
}
