//! Which image is meant.

use super::refusal::Refusal;
use crate::status::Document;
use crate::status::document::Projected;
use std::borrow::Cow;

/// The most images of which an error speaks.
const MOST_LISTED: usize = 10;

/// Why nothing is shown.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// Nothing is called so.
    #[error(
        "no image of {node} is called {needle:?}, nor begins so: {count} were searched, by IMS id and name, S3 key and \
         path, backstore name, WWN, WWID and LUN number{}",
        if *with_names { "" } else { "; the agent does not answer, so IMS names are not known" }
    )]
    Unknown {
        /// Of the node.
        node: String,
        /// What was asked for.
        needle: String,
        /// How many images there are.
        count: usize,
        /// Whether it is known what IMS calls them.
        with_names: bool,
    },
    /// Several are.
    #[error("{needle:?} may be any of {count} images: {}{}", shown.join("; "), if count > &shown.len() { "; ..." } else { "" })]
    Ambiguous {
        /// What was asked for.
        needle: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        shown: Vec<String>,
    },
    /// It is there, but not in this form.
    #[error("there is no {what} for this image")]
    Refused {
        /// Which form.
        what: &'static str,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// It cannot be written.
    #[error("it cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// The one image that is called so; without one, the one of which a name begins so.
pub fn find<'a>(document: &'a Document, needle: &str) -> Result<&'a Projected, LocateError> {
    let of = |is_meant: fn(&str, &str) -> bool| -> Vec<&Projected> {
        let any = |image: &&Projected| names(image).iter().any(|name| is_meant(name, needle));
        document.projections.iter().filter(any).collect()
    };
    let exact = of(|name, needle| name == needle);
    let found = if exact.is_empty() { of(|name, needle| name.starts_with(needle)) } else { exact };
    match found[..] {
        [] => Err(LocateError::Unknown {
            node: document.node.clone(),
            needle: needle.to_owned(),
            count: document.projections.len(),
            with_names: document.agent.is_some(),
        }),
        [one] => Ok(one),
        _ => Err(LocateError::Ambiguous {
            needle: needle.to_owned(),
            count: found.len(),
            shown: found.iter().take(MOST_LISTED).map(|image| line(image)).collect(),
        }),
    }
}

/// All that an image is called.
fn names(image: &Projected) -> Vec<Cow<'_, str>> {
    let texts = [&image.image_name, &image.key, &image.s3_path, &image.name, &image.wwn, &image.wwid];
    let mut names: Vec<Cow<'_, str>> = vec![image.image_id.as_str().into()];
    names.extend(texts.into_iter().flatten().map(|name| name.as_str().into()));
    names.extend(image.lun.map(|lun| lun.to_string().into()));
    names
}

/// What tells it from the others.
fn line(image: &Projected) -> String {
    let called = image.image_name.as_ref().map(|name| format!(" {name:?}")).unwrap_or_default();
    let id = &image.image_id;
    match (image.lun, &image.name) {
        (Some(lun), Some(name)) => format!("LUN {lun} {name} {id:?}{called}"),
        _ => format!("{} {id:?}{called}", image.state),
    }
}
