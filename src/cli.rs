//! The command line: what there is to say, and which part of the program does it.

pub mod exit_codes;

use crate::causes;
use crate::check;
use crate::config::{self, Flag, Loaded, Sources};
use crate::control::LONGEST_RELEASE;
use crate::locate::Format;
use crate::operate::{self, Ago};
use crate::plan_output::{self, PlanJson};
use crate::run::{self, Backend};
use crate::telemetry::complain;
use crate::tls;
use crate::version;
use clap::{Args, Parser, ValueHint};
use std::io::Write;
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

/// A pass that ended without everything being as it should be.
pub const NOT_CONVERGED: u8 = 3;

/// Keeps the read-only iSCSI LUNs of this node equal to the images that should be projected
///
/// It reads from IMS, CSM's Image Management Service, which images are tagged, reads the S3 bucket that has them, and keeps
/// the LUNs of the kernel's iSCSI target (LIO) equal to that. It never moves image data, and never makes a target: the site
/// provides the target, its TPG and its portals.
///
/// A node loses its root file system when its LUN goes. Hence what a source does not answer is unknown, and no reason to
/// remove anything; what others made is not touched; and success is what the kernel shows in configfs.
#[derive(Debug, Parser)]
#[command(version = version::BUILD, propagate_version = true, after_long_help = exit_codes::help("sbps-marshal"))]
pub struct Cli {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Debug, Args)]
struct Configuration {
    /// Configuration file; conf.d/*.toml beside it are read too [default: /etc/sbps-marshal/config.toml]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Sets one key over files and environment, such as s3.bucket=boot-images; may be repeated
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<Flag>,
}

// What a command does, then in paragraphs of their own what its page in the manual says beside that.
#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Runs the agent: passes at scan.frequency, when a tag changes, and on SIGHUP
    ///
    /// In a pass it reads all sources, compares them with what configfs shows, changes what differs, looks whether configfs
    /// shows the change, and saves it. It stays in the foreground and logs to stderr; sbps-marshal.service starts it. A lock
    /// sees to it that one agent runs on a node. A stop leaves every LUN as it is.
    #[command(after_long_help = exit_codes::help("run"))]
    Run {
        /// Does one pass and ends
        #[arg(long)]
        once: bool,
        /// Uses a small site in memory instead of IMS, S3, s3fs and LIO
        #[arg(long)]
        sim: bool,
    },
    /// Shows what a pass would change, and why; changes nothing and does not need targetclid
    ///
    /// It asks all sources as a pass does. It lists what would be done, in this order; the removals that wait, what they wait
    /// for, and the code by which `confirm-removal` allows them; and the images that are not projected, with the reason.
    #[command(after_long_help = exit_codes::help("plan"))]
    Plan {
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// Uses a small site in memory instead of IMS, S3, s3fs and LIO
        #[arg(long)]
        sim: bool,
    },
    /// Looks at everything that the agent needs on this node, and says what to do about what is wrong; changes nothing
    ///
    /// That is: configuration, secrets, identity, IMS, bucket, mount, kernel, targetclid, target, portals and saveconfig.json.
    /// Each is `ok`, `warning` or `failed`. Run it as root, and run the installed program: SPIRE knows a program by its path.
    ///
    /// To each portal it opens a connection and closes it again, of which the kernel logs that a login failed.
    #[command(after_long_help = exit_codes::help("check"))]
    Check {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows everything about one image: where it is, how initiators see it, and how to boot and mount it; changes nothing
    ///
    /// An image may be given by any of its names, or by the beginning of one. An exact name goes before a beginning; several
    /// that fit are listed.
    #[command(after_long_help = exit_codes::help("locate"))]
    Locate {
        /// IMS id or name, S3 key or path, backstore name, WWN, WWID or LUN number, or the beginning of one
        image: String,
        /// For a person, or as a consumer wants it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Checks the configuration and what a start makes of it, CA bundles too; connects nothing
    ///
    /// All errors are told at once: where a value comes from, its key, the value, and what is allowed. Values that may be
    /// secrets are not shown.
    #[command(after_long_help = exit_codes::help("check-config"))]
    CheckConfig {
        /// Prints the default configuration with its documentation instead
        #[arg(long)]
        defaults: bool,
    },
    /// Shows what the running agent projects, what waits and why, who answers, and what is wrong
    ///
    /// Without a running agent it shows what configfs and saveconfig.json show, and says so.
    #[command(after_long_help = exit_codes::help("status"))]
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// Shows it again every 2 seconds, until it is interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Asks the running agent for a pass now, and shows it step by step
    #[command(after_long_help = exit_codes::help("resync"))]
    Resync,
    /// Shows what has changed on this node: LUNs that came and went, and why
    ///
    /// The changes are kept over restarts, the last 1 to 2 MiB of them. No agent has to run.
    #[command(after_long_help = exit_codes::help("history"))]
    History {
        /// Only what is not older: 90s, 30min, 2h, 7d
        #[arg(long, value_name = "TIME")]
        since: Option<Ago>,
        /// As a JSON array of the log's lines
        #[arg(long)]
        json: bool,
    },
    /// Says where the LUN maps of several workers differ
    ///
    /// A node that loses one path has to find the same image under the same number on the next worker. There is a line for
    /// each number that means different images, or that is not on each of the workers. Right after a tag has changed they
    /// differ until each has had its pass.
    #[command(after_long_help = exit_codes::help("compare"))]
    Compare {
        /// What status --json printed on each of them
        #[arg(required = true, num_args = 2.., value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Gives the session with targetclid away, for maintenance by hand; the agent changes nothing meanwhile
    ///
    /// A command that is under way ends first. The agent still looks, and says `lio_busy`; what it has to change waits. It
    /// takes the session back when the time is over, and after a restart.
    #[command(after_long_help = exit_codes::help("release"))]
    Release {
        /// For so many minutes, a day at the most; 0 takes it back
        #[arg(value_parser = clap::value_parser!(u64).range(0..=LONGEST_RELEASE))]
        minutes: u64,
    },
    /// Lets the running agent do removals that it holds, in a pass that is shown step by step
    ///
    /// A removal waits for an operator if too many come at once, if nodes use the LUN, or if a PE object was replaced under its
    /// key. `plan` and the log show the code of what waits; it is the same on each worker that holds the same. A code that is
    /// not held is refused, and a code counts for one pass.
    #[command(after_long_help = exit_codes::help("confirm-removal"))]
    ConfirmRemoval {
        /// The code that plan and the log show: it names exactly those removals
        code: String,
    },
}

impl Cli {
    /// Does what was asked for. 0: done; 1: an error, said on stderr; 3: not converged.
    pub fn execute(self) -> ExitCode {
        let sources = Sources::system(self.configuration.config.as_deref(), self.configuration.set);
        let backend = |sim| if sim { Backend::Simulated } else { Backend::Real };
        match self.command {
            Subcommand::CheckConfig { defaults: true } => print(&config::default_file()),
            Subcommand::CheckConfig { defaults: false } => {
                with_settings(&sources, |loaded| match run::check(loaded.settings) {
                    Ok(notes) => {
                        loaded.notes.iter().chain(&notes).for_each(|note| eprintln!("{note}"));
                        print("the configuration is good\n")
                    }
                    Err(error) => fail(&error),
                })
            }
            Subcommand::Run { once, sim } => {
                with_settings(&sources, |loaded| match run::run(&sources, loaded, once, backend(sim)) {
                    Ok(true) => ExitCode::SUCCESS,
                    Ok(false) => ExitCode::from(NOT_CONVERGED),
                    Err(error) if error.is_logged() => ExitCode::FAILURE,
                    Err(error) => fail(&error),
                })
            }
            Subcommand::Plan { json, sim } => with_settings(&sources, |Loaded { settings, .. }| {
                // Beside the plan, which may be JSON.
                tls::note(&settings).into_iter().for_each(complain);
                match run::preview(settings, backend(sim)) {
                    Ok((plan, actual)) if json => print_json(&PlanJson::new(&plan, &actual)),
                    Ok((plan, actual)) => print(&plan_output::text(&plan, &actual)),
                    Err(error) => fail(&error),
                }
            }),
            Subcommand::Check { json } => {
                let checks = check::node(config::load(&sources));
                let _ = if json { print_json(&checks) } else { print(&check::text(&checks)) };
                ExitCode::from(check::exit_code(&checks))
            }
            Subcommand::Status { json, watch } => {
                with_settings(&sources, |Loaded { settings, .. }| operate::status(&settings, json, watch))
            }
            Subcommand::Resync => {
                with_settings(&sources, |Loaded { settings, .. }| operate::resync(&settings, None))
            }
            Subcommand::History { since, json } => {
                with_settings(&sources, |Loaded { settings, .. }| operate::history(&settings, since, json))
            }
            Subcommand::Compare { files } => operate::compare(&files),
            Subcommand::Release { minutes } => {
                with_settings(&sources, |Loaded { settings, .. }| operate::release(&settings, minutes))
            }
            Subcommand::Locate { image, format } => {
                with_settings(&sources, |Loaded { settings, .. }| operate::locate(&settings, &image, format))
            }
            Subcommand::ConfirmRemoval { code } => {
                with_settings(&sources, |Loaded { settings, .. }| operate::resync(&settings, Some(&code)))
            }
        }
    }
}

fn with_settings(sources: &Sources, then: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match config::load(sources) {
        Ok(loaded) => then(loaded),
        Err(errors) => {
            errors.0.iter().for_each(|error| complain(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&format!("{text}\n")),
        Err(error) => fail(&error),
    }
}

/// A reader that has gone away, as in `plan | head`, is no error.
pub(crate) fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The most characters of one cause: an error has a path in it and a remedy at its end.
const LONGEST_ERROR: usize = 2000;

/// The chain of causes, one line each.
pub(crate) fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    for (cause, mark) in causes::chain(error).zip(iter::once("sbps-marshal").chain(iter::repeat("  because")))
    {
        complain(&format!("{mark}: {}", causes::one_line(&cause.to_string(), LONGEST_ERROR)));
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_defined() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_without_a_value_is_refused_with_an_example() {
        let error = Cli::try_parse_from(["sbps-marshal", "--set", "log.level", "plan"]).unwrap_err();
        assert!(error.to_string().contains("log.level=debug"), "{error}");
    }
}
