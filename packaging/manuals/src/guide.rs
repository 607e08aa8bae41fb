//! What the pages say that neither the command line nor the keys do.

/// What a running agent hears.
pub const SIGNALS: &[(&str, &str)] = &[
    (
        "SIGHUP",
        "The configuration and the CA bundles are read again, and a pass is started; `systemctl reload` sends it. If \
         anything is wrong, everything stays as it is (`reload_refused`). With `--once` it has no effect.",
    ),
    (
        "SIGTERM, SIGINT",
        "The running step is finished, what was changed is saved, and the session with targetclid ends. LUNs stay as they \
         are. This may take `lio.tree_timeout` and 15 s.",
    ),
];

/// Variables that are no keys. Those that are have a page of their own.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "SBPS_MARSHAL_<SECTION>_<KEY>",
        "Sets a key of the configuration, such as `SBPS_MARSHAL_S3_HOST`. `sbps-marshal.toml`(5) lists all of them, and those \
         of the predecessor.",
    ),
    ("NO_COLOR", "If it is set and not empty, `status` uses no colours."),
];

/// Where things are by default.
pub const FILES: &[(&str, &str)] = &[
    ("/etc/sbps-marshal/config.toml", "The configuration, see `sbps-marshal.toml`(5)."),
    (
        "/etc/sbps-marshal/conf.d/*.toml",
        "Read after it, by name. 00-defaults.toml has every key with its default, commented out.",
    ),
    (
        "/etc/sysconfig/sbps-marshal",
        "Environment variables of the unit, read when it starts. Commands in a shell do not see them.",
    ),
    (
        "/run/sbps-marshal/control.sock",
        "Here the running agent is asked by `status`, `resync`, `release`, `confirm-removal` and `locate`. It may be opened by \
         root alone. Below `runtime_dir`.",
    ),
    ("/run/sbps-marshal/lock", "Held by the one agent of the node. Below `runtime_dir`."),
    (
        "/var/lib/sbps-marshal/history.json",
        "What is remembered over a restart: when images were first seen gone, removals, freed numbers. Below `state_dir`.",
    ),
    (
        "/var/lib/sbps-marshal/changes.jsonl",
        "The changes that `history` shows; older ones are in changes.1.jsonl. Below `state_dir`.",
    ),
    ("/run/targetclid.sock", "The daemon by which LIO is changed (`lio.socket`)."),
    (
        "/etc/target/saveconfig.json",
        "What LIO is restored from at boot, and its backups; its folder is what configfs names in dbroot (`lio.save_file`).",
    ),
];

/// Command lines, and what they are for. A test shows that each is accepted.
pub const EXAMPLES: &[(&str, &str)] = &[
    (
        "sbps-marshal check",
        "Says what is missing on this node before the agent is started, and what to do about it.",
    ),
    ("sbps-marshal plan", "Shows what the first pass would do, or the next one."),
    ("sbps-marshal plan --sim", "The same for a small site in memory, on any machine."),
    ("sbps-marshal run --once", "Does one pass, and tells by its exit code whether all is well."),
    ("sbps-marshal run --set log.level=debug", "Runs the agent with one key set for this run."),
    ("sbps-marshal status --watch", "Shows how things are, again and again."),
    ("sbps-marshal resync", "Has the running agent do a pass now."),
    ("sbps-marshal history --since 2h", "Shows which LUNs came and went in the last two hours, and why."),
    ("sbps-marshal locate 14", "Shows which image is LUN 14, and how initiators see it."),
    (
        "sbps-marshal locate 14 --format pv | kubectl apply -f -",
        "Makes it a persistent volume, and the claim that binds it.",
    ),
    (
        "sbps-marshal locate compute-24.11 --format dracut",
        "Prints the kernel command lines that boot the image with stock dracut, one for each portal.",
    ),
    ("sbps-marshal check-config", "Checks what was edited, before `systemctl reload sbps-marshal`."),
    (
        "sbps-marshal check-config --defaults",
        "Prints every key with its default and its documentation, as a file.",
    ),
    (
        "sbps-marshal compare w001.json w002.json",
        "Says where two workers differ, from their `status --json`.",
    ),
    (
        "sbps-marshal release 30",
        "Gives targetclid away for 30 minutes of work by hand; `release 0` takes it back.",
    ),
    ("sbps-marshal confirm-removal 7f3a91c2", "Allows the removals that wait under this code."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use sbps_marshal::cli::Cli;
    use sbps_marshal::config::{KEYS, SYSTEM_FILE};
    use sbps_marshal::{control, history, lock};
    use std::path::Path;

    #[test]
    fn every_example_is_a_command_line_that_is_accepted() {
        for (line, _) in EXAMPLES {
            let own = line.split(" | ").next().unwrap_or_default();
            assert!(Cli::try_parse_from(own.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_files_are_where_the_defaults_put_them() {
        let default =
            |name| KEYS.iter().find(|key| key.name == name).map(|key| Path::new(key.default)).unwrap();
        for path in [
            Path::new(SYSTEM_FILE).to_owned(),
            control::socket(default("runtime_dir")),
            default("runtime_dir").join(lock::FILE),
            default("state_dir").join(history::FILE),
            default("lio.socket").to_owned(),
        ] {
            assert!(FILES.iter().any(|(file, _)| Path::new(file) == path), "{}", path.display());
        }
        assert!(FILES.iter().any(|(file, _)| Path::new(file).parent() == Some(default("state_dir"))));
    }
}
