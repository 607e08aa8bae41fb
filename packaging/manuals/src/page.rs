//! A manual page as it is written, part by part. Text is plain but for `words in backticks`, which are shown in bold.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// What a page says of itself at its foot and its head: the same for all of them.
pub struct Edition {
    /// `YYYY-MM-DD`, or two quotes.
    pub date: String,
    /// Program and version.
    pub source: String,
}

/// The manual that the pages are of.
pub const MANUAL: &str = "sbps-marshal";

/// The source of a page. Each rendered part brings the same preamble; it is kept once.
pub struct Page(String);

impl Page {
    /// An empty one.
    pub fn new() -> Page {
        Page(Roff::new().render())
    }

    /// The text for man.
    pub fn source(self) -> String {
        self.0
    }

    /// Adds a part that is rendered already, by clap_mangen or by us.
    ///
    /// Left out are blank lines and second breaks, which clap_mangen puts before possible values and mandoc warns of (facts C6.2). As
    /// they are typed, a circumflex, a grave accent and a tilde may be shown as accents.
    pub fn append(&mut self, part: &str) {
        let part = part.strip_prefix(&Roff::new().render()).unwrap_or(part);
        for line in part.lines().filter(|line| !line.is_empty()) {
            if line != ".br" || !self.0.ends_with("\n.br\n") {
                let shown = line.replace('^', r"\(ha").replace('`', r"\(ga").replace('~', r"\(ti");
                self.0.push_str(&shown);
                self.0.push('\n');
            }
        }
    }

    fn add(&mut self, build: impl FnOnce(&mut Roff)) {
        let mut roff = Roff::new();
        build(&mut roff);
        self.append(&roff.render());
    }

    /// The head of a page that clap_mangen does not make, and its section NAME.
    pub fn title(&mut self, name: &str, section: &str, edition: &Edition, what: &str) {
        self.add(|roff| {
            let title = name.to_uppercase();
            roff.control("TH", [&*title, section, &edition.date, &edition.source, MANUAL]);
        });
        self.whole_words();
        self.section("NAME");
        self.text(&format!("{name} - {what}"));
    }

    /// From here on no word is broken and no line is stretched: a name, an option or a path can be searched and copied.
    pub fn whole_words(&mut self) {
        self.add(|roff| {
            roff.control("nh", []).control("ad", ["l"]);
        });
    }

    /// The heading of a section.
    pub fn section(&mut self, name: &str) {
        self.add(|roff| {
            roff.control("SH", [name]);
        });
    }

    /// The heading of a part of a section.
    pub fn subsection(&mut self, name: &str) {
        self.add(|roff| {
            roff.control("SS", [name]);
        });
    }

    /// The first paragraph after a heading.
    pub fn text(&mut self, text: &str) {
        self.line(inlines(text));
    }

    /// The same in fonts of its own.
    pub fn line(&mut self, line: Vec<Inline>) {
        self.add(|roff| {
            roff.text(line);
        });
    }

    /// A further paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.add(|roff| {
            roff.control("PP", []).text(inlines(text));
        });
    }

    /// Something by its name, and lines about it.
    pub fn item(&mut self, name: &str, lines: &[&str]) {
        self.add(|roff| {
            roff.control("TP", []).text([bold(name)]);
            for (n, line) in lines.iter().enumerate() {
                if n > 0 {
                    roff.control("br", []);
                }
                roff.text(inlines(line));
            }
        });
    }

    /// Lines as they are typed, indented.
    pub fn verbatim(&mut self, lines: &str) {
        self.add(|roff| {
            roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            lines.lines().for_each(|line| {
                // A line that is empty is one of its own here, and one that is not must not be left out.
                if line.is_empty() {
                    roff.control("sp", [])
                } else {
                    roff.text([roman(line)])
                };
            });
            roff.control("fi", []).control("RE", []);
        });
    }

    /// Other pages, `name(section)`.
    pub fn see_also(&mut self, pages: &[String]) {
        self.section("SEE ALSO");
        let marked = pages.iter().filter_map(|page| page.split_once('('));
        let marked: Vec<_> = marked.map(|(name, section)| format!("`{name}`({section}")).collect();
        self.text(&marked.join(", "));
    }
}

/// What is between backticks in bold, the rest as it is.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { bold(part) } else { roman(part) }).collect()
}
