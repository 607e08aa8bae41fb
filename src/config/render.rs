//! The table of keys as people read it: the commented file that is shipped, and the table in docs/configuration.md.

use super::keys::{KEYS, Key};

/// What stands above everything in the shipped file. The environment of a process is given once: systemd reads
/// EnvironmentFile= when it starts the unit, so a reload cannot see what has changed there.
const HEAD: &str = "\
# sbps-marshal: every key with its default and what it may be. Nothing here is in force: put what differs into
# /etc/sbps-marshal/config.toml or a further file in conf.d (read by name, the later holds). The environment holds
# over files, `--set` over both. `systemctl reload sbps-marshal` reads these files again, CA bundles too, and keeps
# everything as it is if anything is wrong; the environment (/etc/sysconfig/sbps-marshal) is read at start only.
# Made from the table in src/config/keys.rs; a test keeps the two equal.
";

/// The shipped `conf.d/00-defaults.toml`: all keys, all commented out.
pub fn default_file() -> String {
    let mut file = HEAD.to_owned();
    let mut last_section = "";
    for key in KEYS.iter() {
        let (section, name) = key.split();
        if section != last_section {
            file.push_str(&format!("\n[{section}]"));
            last_section = section;
        }
        file.push_str(&format!("\n# {}\n#   {}: {}\n", key.doc, key.variables().join(", "), key.allowed));
        file.push_str(&format!("#{name} = {}\n", toml_default(key)));
    }
    file
}

/// All keys as a Markdown table.
pub fn markdown_table() -> String {
    let mut table =
        String::from("| key | default | meaning | allowed | variables |\n|---|---|---|---|---|\n");
    for key in KEYS.iter() {
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        let variables: Vec<_> = key.variables().iter().map(|name| format!("`{name}`")).collect();
        let variables = variables.join(", ");
        table.push_str(&format!(
            "| `{}` | {default} | {} | {} | {variables} |\n",
            key.name, key.doc, key.allowed
        ));
    }
    table
}

fn toml_default(key: &Key) -> String {
    if key.bare { key.default.to_owned() } else { format!("\"{}\"", key.default) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE=1 cargo test` writes the file anew.
    #[test]
    fn the_shipped_default_file_is_what_the_table_renders() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/config.d/00-defaults.toml");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, default_file()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), default_file());
    }

    fn document(name: &str) -> (String, String) {
        let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    }

    /// The same for the table between the two marks of the documentation.
    #[test]
    fn the_documentation_has_the_table_as_it_is_rendered() {
        let (path, text) = document("docs/configuration.md");
        let (before, rest) = text.split_once("<!-- keys").unwrap();
        let (mark, rest) = rest.split_once("-->").unwrap();
        let (_, after) = rest.split_once("<!-- /keys -->").unwrap();
        let table = markdown_table();
        let wanted = format!("{before}<!-- keys{mark}-->\n\n{table}\n<!-- /keys -->{after}");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        assert_eq!(document("docs/configuration.md").1, wanted);
    }

    #[test]
    fn the_documents_name_no_key_that_does_not_exist() {
        let is_key = |word: &str| KEYS.iter().any(|key| key.name == word);
        let sections: Vec<_> = KEYS.iter().filter_map(|key| key.name.split_once('.')).collect();
        let would_be_key = |word: &&str| {
            let in_section = |(section, key): (&str, &str)| {
                sections.iter().any(|(known, _)| *known == section) && !matches!(key, "*" | "rs")
            };
            word.split_once('.').is_some_and(in_section) && !word.contains([' ', ':', '='])
        };
        for name in ["README.md", "docs/configuration.md"] {
            let (_, text) = document(name);
            let named: Vec<_> = text.split('`').skip(1).step_by(2).filter(would_be_key).collect();
            assert!(named.len() >= 5, "{name}: {named:?}");
            assert!(named.iter().all(|word| is_key(word)), "{name}: {named:?}");
        }
    }

    /// One that leans on the row above is a riddle in an error or a search.
    #[test]
    fn s9_the_meaning_of_a_key_is_a_phrase_of_its_own() {
        for key in KEYS.iter() {
            assert!(key.doc.starts_with(|c: char| c.is_ascii_uppercase()), "{}: {}", key.name, key.doc);
            assert!(!key.doc.ends_with('.') && !key.doc.contains("..."), "{}: {}", key.name, key.doc);
        }
    }

    #[test]
    fn the_table_for_people_has_every_key_in_one_row_of_five_cells() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), KEYS.len() + 2);
        assert!(table.lines().all(|row| row.matches('|').count() == 6));
        assert!(table.contains(
            "| `s3.host` | `rgw-vip.nmn` | The S3 server | host or host:port, without https:// | \
             `SBPS_MARSHAL_S3_HOST`, `S3_HOST` |"
        ));
    }
}
