//! Stages two and three: the merged input is checked by the table, then fitted into [`Settings`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::errors::ConfigError;
use super::keys::KEYS;
use super::kind::Checked;
use super::settings::*;

/// The most characters of a value that an error shows.
const SHOWN: usize = 80;

/// The settings, if nothing stands in the way; each obstacle becomes a problem.
pub(super) fn settings(input: &BTreeMap<String, Value>, problems: &mut Vec<ConfigError>) -> Option<Settings> {
    let mut values = Values::default();
    for key in KEYS {
        match input.get(key.name).and_then(as_text).and_then(|text| key.kind.check(&text)) {
            Some(checked) => {
                values.0.insert(key.name, checked);
            }
            None => problems.extend(refusal(key.name, input, key.kind.to_string())),
        }
    }
    // Between keys, where both were right by themselves.
    let url = values.ims_url();
    if values.have("ims.gateway", "ims.uri") && url.is_none() {
        problems.extend(refusal("ims.uri", input, "a path on ims.gateway".to_owned()));
    }
    let first = values.whole("lio.first_lun");
    if values.have("lio.first_lun", "lio.last_lun") && first > values.whole("lio.last_lun") {
        problems.extend(refusal("lio.last_lun", input, format!("lio.first_lun ({first}) or more")));
    }
    url.map(|url| values.fit(url))
}

fn as_text(value: &Value) -> Option<String> {
    match value.kind {
        ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
        _ => Some(value.kind.to_string()),
    }
}

fn refusal(name: &str, input: &BTreeMap<String, Value>, allowed: String) -> Option<ConfigError> {
    let key = KEYS.iter().find(|key| key.name == name)?;
    let value = input.get(name);
    let shown = match value.and_then(as_text) {
        Some(text) if key.kind.may_show(&text) => {
            format!("{:?}", text.chars().take(SHOWN).collect::<String>())
        }
        Some(_) => "a value that is not shown".to_owned(),
        None => "a list".to_owned(),
    };
    let origin = value.and_then(Value::origin).unwrap_or_default().to_owned();
    Some(ConfigError::Value { origin, key: key.name, value: shown, allowed, default: key.default })
}

/// Checked values by name. A name or type that the table does not have gives an empty value, which the test of every
/// single key would show.
#[derive(Default)]
struct Values(BTreeMap<&'static str, Checked>);

impl Values {
    fn have(&self, one: &str, other: &str) -> bool {
        self.0.contains_key(one) && self.0.contains_key(other)
    }

    fn seconds(&self, name: &str) -> Duration {
        if let Some(Checked::Seconds(time)) = self.0.get(name) { *time } else { Duration::ZERO }
    }

    fn whole(&self, name: &str) -> u16 {
        if let Some(Checked::Whole(number)) = self.0.get(name) { *number } else { 0 }
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Checked::Flag(true)))
    }

    fn text(&self, name: &str) -> String {
        if let Some(Checked::Text(text)) = self.0.get(name) { text.clone() } else { String::new() }
    }

    fn optional_path(&self, name: &str) -> Option<PathBuf> {
        if let Some(Checked::Path(path)) = self.0.get(name) { Some(path.clone()) } else { None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.optional_path(name).unwrap_or_default()
    }

    /// Joined as the predecessor's `urljoin` did. On the gateway: the bearer token goes where this leads.
    fn ims_url(&self) -> Option<String> {
        let gateway = reqwest::Url::parse(&self.text("ims.gateway")).ok()?;
        let url = gateway.join(&self.text("ims.uri")).ok()?;
        (url.origin() == gateway.origin()).then(|| url.into())
    }

    fn fit(&self, ims_url: String) -> Settings {
        Settings {
            scan: Scan {
                frequency: self.seconds("scan.frequency"),
                tag_frequency: self.seconds("scan.tag_frequency"),
            },
            guard: Guard {
                confirm_after: self.seconds("guard.confirm_after"),
                max_removal_percent: u8::try_from(self.whole("guard.max_removal_percent"))
                    .unwrap_or_default(),
                max_removals: self.whole("guard.max_removals"),
                window: self.seconds("guard.window"),
            },
            ims: Ims {
                url: ims_url,
                tagging: self.flag("ims.tagging"),
                timeout: self.seconds("ims.timeout"),
                connect_timeout: self.seconds("ims.connect_timeout"),
                ca_bundle: self.optional_path("ims.ca_bundle"),
                token_file: self.optional_path("ims.token_file"),
                verify_md5: self.flag("ims.verify_md5"),
            },
            s3: S3 {
                endpoint: format!("{}://{}", self.text("s3.proto"), self.text("s3.host")),
                region: self.text("s3.region"),
                bucket: self.text("s3.bucket"),
                credential_file: self.path("s3.credential_file"),
                timeout: self.seconds("s3.timeout"),
                connect_timeout: self.seconds("s3.connect_timeout"),
                ca_bundle: self.optional_path("s3.ca_bundle"),
            },
            pe: Pe { prefix: self.text("pe.prefix"), suffix: self.text("pe.suffix") },
            mount: Mount {
                path: self.path("mount.path"),
                timeout: self.seconds("mount.timeout"),
                fstype: self.text("mount.fstype"),
            },
            lio: Lio {
                iqn: self.text("lio.iqn"),
                tpg: self.whole("lio.tpg"),
                configfs: self.path("lio.configfs"),
                socket: self.path("lio.socket"),
                command_timeout: self.seconds("lio.command_timeout"),
                tree_timeout: self.seconds("lio.tree_timeout"),
                save_file: self.optional_path("lio.save_file"),
                first_lun: self.whole("lio.first_lun"),
                last_lun: self.whole("lio.last_lun"),
            },
            spire: Spire {
                agent_path: self.path("spire.agent_path"),
                jwt_audience: self.text("spire.jwt_audience"),
                agent_sock_path: self.path("spire.agent_sock_path"),
            },
            log: Log {
                level: self.text("log.level"),
                format: if self.text("log.format") == "text" { LogFormat::Text } else { LogFormat::Json },
            },
            runtime_dir: self.path("runtime_dir"),
            state_dir: self.path("state_dir"),
        }
    }
}
