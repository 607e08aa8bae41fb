//! The page of section 5: the configuration file, and every key from the one table.

use crate::PROGRAM;
use crate::page::{Edition, Page};
use sbps_marshal::config::{KEYS, Key};

/// Of the page.
pub const NAME: &str = "sbps-marshal.toml";

const EXAMPLE: &str = "\
[ims]
gateway = \"https://api-gw-service-nmn.local\"
token_file = \"/etc/sbps-marshal/token\"

[s3]
host = \"rgw-vip.nmn\"";

const VALUES: &[&str] = &[
    "Times are in seconds and may have a fraction. Numbers and flags may be written with or without quotes. Blanks around \
     a value are ignored. An empty value unsets a key whose allowed values end in \"or empty\".",
    "Secrets are given by the path of a file, never by value. The token file and the S3 credential file are read again \
     whenever they are needed: to rotate a secret, replace the file.",
    "CA bundles are read again by themselves when they change.",
    "Nothing may lie below /tmp or /var/tmp: the service has its own. A `lio.save_file` in another folder below /etc than \
     /etc/target and /etc/rtslib-fb-target needs a ReadWritePaths= in a drop-in of the unit.",
];

/// From the lowest to the highest.
const SOURCES: &[(&str, &str)] = &[
    ("built-in defaults", "As they are listed below."),
    (
        "/etc/sbps-marshal/config.toml",
        "Or the file that `--config` names. The first may be absent, the second may not.",
    ),
    (
        "conf.d/*.toml",
        "Beside that file, in the order of their names: 20-site.toml overrides 10-base.toml. Hidden files are ignored.",
    ),
    (
        "variables of the predecessor",
        "Those of the Python agent, with its prefix `SBPS_MARSHAL_` or without, such as `API_GATEWAY`. `TARGETCLI_BIN` is accepted \
         and has no effect. `IMS_TAGGING` has to be `true` or to say no: all else was false to that agent, and is refused.",
    ),
    ("SBPS_MARSHAL_<SECTION>_<KEY>", "Variables such as `SBPS_MARSHAL_S3_HOST`."),
    ("--set section.key=value", "Before or after the subcommand; it may be repeated, and the last one wins."),
];

const ERRORS: &str = "An unknown key, an unknown `SBPS_MARSHAL_` variable, a value that is not allowed, and a file that \
    cannot be read are errors. All of them are told at once, one line each, with the source, the key, the value and the \
    remedy. With an error the agent does not start. `sbps-marshal check-config` tells them beforehand, with exit code 1.";

const RELOAD: &[&str] = &[
    "`systemctl reload sbps-marshal` sends SIGHUP. The agent reads the files and the CA bundles again, finishes the running \
     step, and goes on with the new settings in the same process (`reloaded`). LUNs stay as they are until a pass finds a \
     reason to change them. If nothing has changed, it only starts a pass. If anything is wrong, everything stays as it is, \
     and `reload_refused` gives the reason.",
    "A changed `log.level` counts at once. A changed `log.format`, `http.listen` or `metrics.textfile`, and changed \
     environment variables, need a restart. A reload with another `runtime_dir` or `state_dir` is refused.",
];

/// The page.
pub fn page(edition: &Edition) -> String {
    let mut page = Page::new();
    page.title(NAME, "5", edition, "configuration of sbps-marshal");
    page.section("DESCRIPTION");
    page.text(
        "The agent of `sbps-marshal`(8) is configured by keys such as `s3.bucket`. All of them have defaults, so that an empty \
         configuration is valid. A site usually sets `ims.gateway`, `ims.token_file`, `s3.host`, `s3.credential_file` and \
         `mount.path`. The file is TOML: the part before the dot is a section.",
    );
    page.verbatim(EXAMPLE);
    page.section("SOURCES");
    page.text("From the lowest to the highest; a higher source overrides a lower one key by key.");
    SOURCES.iter().for_each(|(source, text)| page.item(source, &[text]));
    page.paragraph(
        "The unit reads environment variables from /etc/sysconfig/sbps-marshal. Commands that you run in a shell do not: put \
         what `plan` and `confirm-removal` should know as well into a file.",
    );
    paragraphs(&mut page, "VALUES", VALUES);
    page.section("KEYS");
    page.text("Each with what it means, its default, what is allowed, and the variables that set it.");
    let mut last_section = "";
    for key in KEYS.iter() {
        let (section, _) = key.split();
        if section != last_section {
            page.subsection(&format!("[{section}]"));
            last_section = section;
        }
        item(&mut page, key);
    }
    paragraphs(&mut page, "ERRORS", &[ERRORS]);
    paragraphs(&mut page, "RELOAD", RELOAD);
    page.section("EXAMPLES");
    page.item("sbps-marshal check-config", &["Checks the configuration, and connects nothing."]);
    page.item("sbps-marshal plan", &["Shows what a pass would do with it, and changes nothing."]);
    page.item("sbps-marshal check-config --defaults", &["Prints every key with its default, as a file."]);
    page.see_also(
        &[PROGRAM, "sbps-marshal-check-config", "sbps-marshal-plan"].map(|name| format!("{name}(8)")),
    );
    page.source()
}

fn paragraphs(page: &mut Page, heading: &str, texts: &[&str]) {
    page.section(heading);
    for (n, text) in texts.iter().enumerate() {
        if n == 0 { page.text(text) } else { page.paragraph(text) }
    }
}

fn item(page: &mut Page, key: &Key) {
    let default = if key.default.is_empty() { "empty".to_owned() } else { format!("`{}`", key.default) };
    let variables: Vec<_> = key.variables().iter().map(|name| format!("`{name}`")).collect();
    page.item(
        key.name,
        &[
            &format!("{}.", key.doc),
            &format!("Default: {default}"),
            &format!("Allowed: {}", key.allowed),
            &format!("Variables: {}", variables.join(", ")),
        ],
    );
}
