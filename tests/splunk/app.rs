//! The files of the app.

use std::collections::BTreeMap;
use std::fs;

/// Its folder.
pub const APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/splunk/sbps_marshal");

/// The keys of each stanza of a .conf file.
pub type Stanzas = BTreeMap<String, BTreeMap<String, String>>;

/// One of its files.
pub fn read(name: &str) -> String {
    fs::read_to_string(format!("{APP}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A .conf file; a line that ends in a backslash goes on.
pub fn stanzas(name: &str) -> Stanzas {
    let (mut stanzas, mut stanza) = (Stanzas::new(), String::new());
    for line in
        read(name).replace("\\\n", "").lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some(title) = line.strip_prefix('[') {
            stanza = title.strip_suffix(']').expect("the end of a title").to_owned();
            assert!(
                stanzas.insert(stanza.clone(), BTreeMap::new()).is_none(),
                "{name}: [{stanza}] is there twice"
            );
            continue;
        }
        let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{name}: {line}"));
        let before = stanzas.get_mut(&stanza).expect("a stanza").insert(key.to_owned(), value.to_owned());
        assert_eq!(before, None, "{name}: [{stanza}] has {key} twice");
    }
    stanzas
}

/// A search with its macros as they are shipped.
pub fn expanded(search: &str) -> String {
    let mut search = search.to_owned();
    for (name, stanza) in stanzas("default/macros.conf") {
        search = search.replace(&format!("`{name}`"), &stanza["definition"]);
    }
    assert!(!search.contains('`'), "{search}");
    search
}

/// The searches of the dashboard, whose elements are each closed by their own end.
pub fn dashboard() -> Vec<String> {
    let (mut open, mut queries) = (Vec::new(), Vec::new());
    for part in read("default/data/ui/views/sbps_marshal.xml").split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("the end of a tag");
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split(' ').next().unwrap_or_default().to_owned()),
        }
        if tag == "query" {
            queries.push(text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"));
        }
    }
    assert!(open.is_empty(), "{open:?} is not closed");
    queries
}

/// Whether a document has the heading that `docs/page.md#heading` leads to.
pub fn anchor_is_there(link: &str) -> bool {
    let (page, anchor) = link.split_once('#').expect("an anchor");
    let page = fs::read_to_string(format!("{}/{page}", env!("CARGO_MANIFEST_DIR"))).expect("a page");
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let mut headings = page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase);
    headings.any(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-") == anchor)
}
