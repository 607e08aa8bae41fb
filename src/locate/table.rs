//! One image on one screen, for a person.

use super::located::Located;
use super::refusal::Offer;
use crate::causes::one_line;
use std::fmt::Write;

/// The most characters of a line: S3 keys have up to 1024.
const LONGEST: usize = 1200;
const MIB: u64 = 1 << 20;

/// A line for each thing, its name before it.
pub(super) fn table(located: &Located) -> String {
    let mut out = String::new();
    let mut row = |name: &str, text: &str| {
        // Writing to a String cannot fail. Keys and names are what others wrote.
        let _ = writeln!(out, "{name:<10} {}", one_line(text, LONGEST));
    };
    let image = &located.image;
    let called = image.image_name.as_ref().map(|name| format!("  {name}")).unwrap_or_default();
    row("image", &format!("{} {}{called}", image.kind, image.image_id));
    let why = |text: &Option<String>| text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    row("state", &format!("{}{}{}", image.state, why(&image.reason), why(&image.detail)));
    if let Some(code) = &image.confirm_code {
        row("", &format!("goes after: sbps-marshal confirm-removal {code}"));
    }
    if let Some(path) = &image.s3_path {
        row("s3", path);
        row("etag", image.etag.as_deref().unwrap_or("not known"));
    }
    if let (Some(file), Some(size)) = (&image.file, image.size_bytes) {
        row("file", &format!("{file}  ({size} bytes)"));
    }
    if let (Some(name), Some(wwn), Some(wwid)) = (&image.name, &image.wwn, &image.wwid) {
        row("identity", &format!("name {name}  wwn {wwn}  wwid {wwid}"));
    }
    if let Some(lun) = image.lun {
        row("lun", &format!("{lun} of {} on {}", located.iqn, located.node));
    }
    row("portals", &listed(&located.portals));
    row("sessions", &listed(&located.sessions));
    if let (Some(read), Some(commands)) = (image.read_bytes, image.commands) {
        row("read", &format!("{} MiB, in {commands} commands", read / MIB));
    }
    match &located.seen {
        Offer::Refused { refused, .. } => row("initiator", &format!("none: {refused}")),
        Offer::Given(seen) => {
            row("initiator", &format!("{} {}", seen.vendor, seen.product));
            seen.by_id.iter().chain(&seen.by_path).for_each(|path| row("", path));
            offer(&mut row, "multipath", &located.multipath, |multipath| vec![multipath.device.clone()]);
            row("", &seen.by_map);
            offer(&mut row, "dracut", &located.dracut, Clone::clone);
            let name = |volume: &[serde_json::Value; 2]| {
                let name = volume[0]["metadata"]["name"].as_str().unwrap_or_default();
                vec![format!("persistent volume {name}  (--format pv)")]
            };
            offer(&mut row, "kubernetes", &located.volume, name);
        }
    }
    out
}

fn offer<T>(
    row: &mut impl FnMut(&str, &str),
    name: &str,
    offer: &Offer<T>,
    lines: impl Fn(&T) -> Vec<String>,
) {
    match offer {
        Offer::Refused { refused, .. } => row(name, &format!("none: {refused}")),
        Offer::Given(given) => {
            for (line, name) in lines(given).iter().zip(std::iter::once(name).chain(std::iter::repeat(""))) {
                row(name, line);
            }
        }
    }
}

fn listed(entries: &[String]) -> String {
    match entries {
        [] => "none".to_owned(),
        entries => entries.join(", "),
    }
}
