//! The whole way from sources to settings, over real files.

use super::*;
use crate::config::input::Input;
use std::time::Duration;

/// A folder of configuration files, and what else is said.
struct Site {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let sources = Sources {
            file: folder.path().join("config.toml"),
            dir: folder.path().join("conf.d"),
            ..Sources::default()
        };
        Site { folder, sources }
    }

    fn file(self, name: &str, text: &str) -> Site {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Site {
        self.sources.env.insert(name.to_owned(), value.to_owned());
        self
    }

    fn set(mut self, name: &str, value: &str) -> Site {
        self.sources.flags.push(format!("{name}={value}").parse().unwrap());
        self
    }

    fn settings(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|errors| panic!("{errors}")).settings
    }

    /// What is told, with the folder of this test taken out.
    fn errors(&self) -> Vec<String> {
        let text = load(&self.sources).unwrap_err().to_string();
        text.replace(&format!("{}/", self.folder.path().display()), "").lines().map(str::to_owned).collect()
    }
}

#[test]
fn nothing_said_gives_the_defaults_of_the_predecessor() {
    let settings = Site::new().settings();
    assert_eq!(settings.scan.frequency, Duration::from_secs(180));
    assert_eq!(settings.ims.url, "https://api-gw-service-nmn.local/apis/ims/v3/images");
    assert!(settings.ims.tagging);
    assert_eq!(settings.s3.endpoint, "https://rgw-vip.nmn");
    assert_eq!(settings.s3.credential_file, PathBuf::from("/root/.ims.s3fs"));
    assert_eq!(settings.mount.path, PathBuf::from("/var/lib/cps-local/boot-images"));
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(settings.lio.iqn, format!("iqn.2023-06.csm.iscsi:{}", hostname.trim()));
    assert_eq!((settings.lio.tpg, settings.lio.first_lun, settings.lio.last_lun), (1, 1, 16383));
    assert_eq!((settings.lio.save_file, settings.pe.suffix.as_str()), (None, ""));
}

#[test]
fn a_flag_is_cut_at_its_first_equals_sign() {
    let flag: Flag = "log.level=sbps_marshal=debug,info".parse().unwrap();
    assert_eq!((flag.key.as_str(), flag.value.as_str()), ("log.level", "sbps_marshal=debug,info"));
    assert!("log.level".parse::<Flag>().is_err());
}

#[test]
fn each_layer_holds_over_the_ones_below() {
    let layers: [fn(Site) -> Site; 6] = [
        |site| site.file("config.toml", "[s3]\nbucket = \"b1\"\n"),
        |site| site.file("conf.d/10-site.toml", "[s3]\nbucket = \"b2\"\n"),
        |site| site.file("conf.d/20-site.toml", "[s3]\nbucket = \"b3\"\n"),
        |site| site.env("S3_BUCKET", "b4"),
        |site| site.env("SBPS_MARSHAL_S3_BUCKET", "b5"),
        |site| site.set("s3.bucket", "no").set("s3.bucket", "b6"),
    ];
    let mut site = Site::new();
    for (layer, bucket) in layers.into_iter().zip(["b1", "b2", "b3", "b4", "b5", "b6"]) {
        site = layer(site);
        assert_eq!(site.settings().s3.bucket, bucket);
    }
}

#[test]
fn the_predecessors_environment_works_unchanged() {
    let site = Site::new()
        .env("SCAN_FREQUENCY", "60")
        .env("IMS_TAGGING", "False")
        .env("API_GATEWAY", "https://gw.example/")
        .env("S3_HOST", "127.0.0.1:9000")
        .env("S3_PROTO", "http")
        .env("LIO_SAVE_FILE", "/etc/target/saveconfig.json")
        .env("TARGETCLI_BIN", "/usr/bin/targetcli");
    let settings = site.settings();
    assert_eq!(settings.scan.frequency, Duration::from_secs(60));
    assert!(!settings.ims.tagging);
    assert_eq!(settings.ims.url, "https://gw.example/apis/ims/v3/images");
    assert_eq!(settings.s3.endpoint, "http://127.0.0.1:9000");
    assert_eq!(settings.lio.save_file, Some("/etc/target/saveconfig.json".into()));
    let notes = load(&site.sources).unwrap().notes;
    assert!(matches!(&notes[..], [note] if note.starts_with("TARGETCLI_BIN is accepted and not used")));
}

/// As marshal/lib/config.py of 1.0.3 reads them: a drop-in that was written for it stays in force.
#[test]
fn the_predecessors_variables_work_with_its_prefix_too() {
    let site = Site::new()
        .env("SBPS_MARSHAL_SCAN_FREQUENCY", "60")
        .env("SBPS_MARSHAL_API_GATEWAY", "https://gw.example/")
        .env("API_GATEWAY", "https://less.example/")
        .env("SBPS_MARSHAL_SQUASHFS_S3FS_MOUNT", "/mnt/images")
        .env("SBPS_MARSHAL_TARGETCLI_BIN", "/usr/bin/targetcli");
    let settings = site.settings();
    assert_eq!(settings.scan.frequency, Duration::from_secs(60));
    assert_eq!(settings.ims.url, "https://gw.example/apis/ims/v3/images");
    assert_eq!(settings.mount.path.to_str(), Some("/mnt/images"));
    let notes = load(&site.sources).unwrap().notes;
    assert!(matches!(&notes[..], [note] if note.starts_with("SBPS_MARSHAL_TARGETCLI_BIN is accepted")));
    let ours = site.env("SBPS_MARSHAL_IMS_GATEWAY", "https://ours.example");
    assert_eq!(ours.settings().ims.url, "https://ours.example/apis/ims/v3/images", "ours holds over its");
}

/// marshal/lib/config.py of 1.0.3: `== "true"`.
#[test]
fn a_variable_that_meant_no_to_the_predecessor_and_would_mean_yes_to_us_is_refused() {
    for variable in ["IMS_TAGGING", "SBPS_MARSHAL_IMS_TAGGING"] {
        for value in ["True", "TRUE", "yes", "1", " true"] {
            let told = load(&Site::new().env(variable, value).sources).unwrap_err().to_string();
            assert!(
                told.starts_with(&format!("{variable}: {value:?} was false to the Python agent")),
                "{told}"
            );
        }
        for (value, tagging) in [("true", true), ("false", false), ("False", false), ("0", false)] {
            assert_eq!(Site::new().env(variable, value).settings().ims.tagging, tagging, "{value}");
        }
    }
}

/// A value that the key may have and that is not its default.
fn another(key: &Key) -> &'static str {
    // A flag has many names for one value.
    let flag = if key.default == "false" { "yes" } else { "no" };
    let words = ["http", "debug", "hec", "helper", "attached", "replace", "configfs", "127.0.0.1:9465"];
    let mut values = ["7", flag, "/other", "http://other", "iqn.2020-01.other"].into_iter().chain(words);
    let is_allowed = |value: &&str| *value != key.default && key.read(value, &mut Input::default());
    values.find(is_allowed).unwrap_or_else(|| panic!("{}", key.name))
}

#[test]
fn every_key_of_the_table_arrives_in_the_settings_by_its_variable() {
    let defaults = Site::new().settings();
    for key in KEYS.iter() {
        assert_ne!(Site::new().env(&key.variable(), another(key)).settings(), defaults, "{}", key.name);
    }
}

/// Two places of one type can be mistaken for each other, which no compiler sees.
#[test]
fn s8_the_value_of_a_key_goes_to_the_place_of_its_name() {
    for key in KEYS.iter() {
        let mut input = Input::default();
        assert!(key.read(another(key), &mut input), "{}", key.name);
        let input = format!("{input:?}");
        let (section, field) = match key.name.split_once('.') {
            Some((section, field)) => (format!(" {section}: "), field),
            None => ("Input".to_owned(), key.name),
        };
        let (_, section) = input.split_once(&section).unwrap();
        let section = section.split('}').next().unwrap();
        assert!(section.contains(&format!(" {field}: Some(")), "{}: {section}", key.name);
    }
}

#[test]
fn s8_without_any_one_of_the_keys_there_are_no_settings() {
    let without = |left_out: &str| {
        let mut input = Input::default();
        for key in KEYS.iter().filter(|key| key.name != left_out) {
            assert!(key.read(another(key), &mut input), "{}", key.name);
        }
        input.whole()
    };
    assert!(without("nothing").is_some());
    assert!(KEYS.iter().all(|key| without(key.name).is_none()));
}

#[test]
fn certificates_are_verified_of_both_unless_tls_insecure_is_set() {
    let insecure = |settings: Settings| (settings.ims.insecure, settings.s3.insecure);
    assert_eq!(insecure(Site::new().settings()), (false, false));
    assert_eq!(insecure(Site::new().set("tls.insecure", "true").settings()), (true, true));
}

#[test]
fn a_value_is_trimmed_and_is_not_nothing_but_spaces() {
    let settings = Site::new().env("SCAN_FREQUENCY", " 60\n").set("s3.bucket", "\tb ").settings();
    assert_eq!((settings.scan.frequency.as_secs(), settings.s3.bucket.as_str()), (60, "b"));
    assert_eq!(Site::new().set("pe.prefix", " ").errors().len(), 1);
    assert_eq!(Site::new().set("ims.ca_bundle", " ").settings().ims.ca_bundle, None);
}

#[test]
fn the_shipped_file_with_its_comments_taken_off_is_the_defaults() {
    let commented =
        |line: &&str| line.starts_with('#') && !line.starts_with("# ") && !line.starts_with("#  ");
    let shipped = default_file();
    assert_eq!(shipped.lines().filter(commented).count(), KEYS.len());
    let text: String = shipped
        .lines()
        .map(|line| if commented(&line) { &line[1..] } else { line })
        .map(|line| format!("{line}\n"))
        .collect();
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let site = Site::new().file("config.toml", &text.replace("<hostname>", hostname.trim()));
    assert_eq!(site.settings(), Site::new().settings());
    assert_eq!(Site::new().file("conf.d/00-defaults.toml", &shipped).settings(), Site::new().settings());
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_its_remedy() {
    let site = Site::new()
        .file("config.toml", "[scan]\nfrequency = \"often\"\n[s3]\nbukcet = \"x\"\n")
        .file("conf.d/10-list.toml", "[lio]\ntpg = [1]\n")
        .env("IMS_TAGGING", "perhaps")
        .env("SBPS_MARSHAL_S3_HSOT", "x")
        .set("guard.max_removal_percent", "0");
    assert_eq!(
        site.errors(),
        [
            "config.toml: \"s3.bukcet\" is not known, the nearest known is s3.bucket; correct or remove it",
            "environment: \"SBPS_MARSHAL_S3_HSOT\" is not known, the nearest known is SBPS_MARSHAL_S3_HOST; \
             correct or remove it",
            "config.toml: scan.frequency is \"often\", allowed: seconds from 1 to 86400; correct it, or remove \
             it to get \"180\"",
            "--set: guard.max_removal_percent is \"0\", allowed: a whole number from 1 to 100; correct it, or \
             remove it to get \"10\"",
            "IMS_TAGGING: ims.tagging is \"perhaps\", allowed: true, false, yes, no, 1 or 0; correct it, or remove \
             it to get \"true\"",
            "conf.d/10-list.toml: lio.tpg is a list, allowed: a whole number from 1 to 65535; correct it, or \
             remove it to get \"1\"",
        ]
    );
}

#[test]
fn a_file_that_is_not_toml_is_named_with_its_line_but_never_quoted() {
    let site = Site::new().file("conf.d/10.toml", "[s3]\nKEY:SECRET\n").file("config.toml", "a = 1\na = 2\n");
    assert_eq!(
        site.errors(),
        [
            "config.toml: TOML parse error at line 2, column 1: duplicate key; correct it there",
            "conf.d/10.toml: TOML parse error at line 2, column 11: key with no value, expected `=`; correct it \
             there",
        ]
    );
}

#[test]
fn a_secret_where_its_file_belongs_is_not_shown() {
    let site = Site::new()
        .env("S3_CREDENTIAL_FILE", "AKIAKEY:hunter2")
        .set("ims.token_file", "hunter2")
        .set("ims.gateway", "https://user:hunter2@gw")
        .set("s3.secret", "hunter2");
    let errors = site.errors();
    assert_eq!(errors.len(), 4);
    assert!(errors.iter().all(|line| !line.contains("hunter2")), "{errors:?}");
    assert!(errors[2].contains("ims.token_file is a value that is not shown"), "{errors:?}");
}

#[test]
fn an_absent_file_is_an_error_only_if_it_was_asked_for() {
    let mut site = Site::new();
    site.settings();
    site.sources.file_required = true;
    assert!(
        matches!(&site.errors()[..], [line] if line.starts_with("config.toml: cannot be read (No such file"))
    );
}

#[test]
fn hidden_and_other_files_in_conf_d_are_not_read() {
    let site = Site::new()
        .file("conf.d/.10.toml", "x")
        .file("conf.d/10.toml.rpmnew", "x")
        .file("conf.d/README", "x");
    site.settings();
}

#[test]
fn m3_a_pass_a_look_at_the_tags_and_a_second_look_are_at_least_a_second_apart() {
    for name in ["scan.frequency", "scan.tag_frequency", "guard.confirm_after", "guard.window"] {
        assert_eq!(Site::new().set(name, "0.9").errors().len(), 1, "{name}");
        Site::new().set(name, "1").settings();
    }
}

#[test]
fn what_the_breaker_and_the_history_go_by_has_its_defaults() {
    let settings = Site::new().settings();
    assert_eq!((settings.guard.max_removals, settings.guard.window), (3, Duration::from_secs(3600)));
    assert!(settings.ims.verify_md5);
    assert_eq!(settings.state_dir, PathBuf::from("/var/lib/sbps-marshal"));
    for value in ["0", "1001", "1.5"] {
        assert_eq!(Site::new().set("guard.max_removals", value).errors().len(), 1, "{value}");
    }
}

#[test]
fn luns_that_end_before_they_begin_are_refused() {
    let errors = Site::new().set("lio.first_lun", "9").set("lio.last_lun", "8").errors();
    assert!(
        matches!(&errors[..], [line] if line.contains("lio.last_lun is \"8\", allowed: lio.first_lun (9) or more"))
    );
}

#[test]
fn the_ims_path_cannot_lead_away_from_the_gateway() {
    for uri in ["https://elsewhere/images", "//elsewhere/images"] {
        let errors = Site::new().set("ims.uri", uri).errors();
        assert!(
            matches!(&errors[..], [line] if line.contains("allowed: a path on ims.gateway")),
            "{errors:?}"
        );
    }
    let joined =
        |gateway| Site::new().set("ims.gateway", gateway).set("ims.uri", "v3/images").settings().ims.url;
    assert_eq!(joined("http://ims:8080"), "http://ims:8080/v3/images");
    assert_eq!(joined("http://gw/apis/ims/"), "http://gw/apis/ims/v3/images");
}
