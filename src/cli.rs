//! The command line: what there is to say, and which part of the program does it.

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
use clap::{Args, Parser};
use std::io::Write;
use std::iter;
use std::path::PathBuf;
use std::process::ExitCode;

/// A pass that ended without everything being as it should be.
pub const NOT_CONVERGED: u8 = 3;

/// Keeps the read-only iSCSI LUNs of this node equal to the images that should be projected.
#[derive(Debug, Parser)]
#[command(version = version::BUILD, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    command: Subcommand,
}

#[derive(Debug, Args)]
struct Configuration {
    /// Configuration file; conf.d/*.toml beside it are read too [default: /etc/sbps-marshal/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key over files and environment, such as s3.bucket=boot-images; may be repeated
    #[arg(long = "set", global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<Flag>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Runs the agent: passes at scan.frequency, when a tag changes, and on SIGHUP
    Run {
        /// Does one pass and ends: exit code 0 if everything is as it should be, 3 if not
        #[arg(long)]
        once: bool,
        /// Uses a small site in memory instead of IMS, S3, s3fs and LIO
        #[arg(long)]
        sim: bool,
    },
    /// Shows what a pass would change, and why; changes nothing and does not need targetclid
    Plan {
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// Uses a small site in memory instead of IMS, S3, s3fs and LIO
        #[arg(long)]
        sim: bool,
    },
    /// Looks at everything that the agent needs on this node, and says what to do about what is wrong; changes nothing:
    /// exit code 0 if all is well, 1 with warnings, 2 if something is not met
    Check {
        /// As a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Shows everything about one image: where it is, how initiators see it, and how to boot and mount it; changes
    /// nothing: exit code 0, or 1 if there is no such image, or none in this format
    Locate {
        /// IMS id or name, S3 key or path, backstore name, WWN, WWID or LUN number, or the beginning of one
        image: String,
        /// For a person, or as a consumer wants it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Checks the configuration and what a start makes of it, CA bundles too; connects nothing: exit code 0, or 1 and
    /// one line for each error
    CheckConfig {
        /// Prints the default configuration with its documentation instead
        #[arg(long)]
        defaults: bool,
    },
    /// Shows what the running agent projects, what waits and why, who answers, and what is wrong
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
        /// Shows it again every 2 seconds, until it is interrupted
        #[arg(long)]
        watch: bool,
    },
    /// Asks the running agent for a pass now, and shows it step by step: exit code 0 if everything is as it should be, 3 if
    /// not
    Resync,
    /// Shows what has changed on this node: LUNs that came and went, and why
    History {
        /// Only what is not older: 90s, 30min, 2h, 7d
        #[arg(long, value_name = "TIME")]
        since: Option<Ago>,
        /// As a JSON array of the log's lines
        #[arg(long)]
        json: bool,
    },
    /// Says where the LUN maps of several workers differ: exit code 0 if nowhere, 3 if somewhere
    Compare {
        /// What `status --json` printed on each of them
        #[arg(required = true, num_args = 2.., value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Gives the session with targetclid away, for maintenance by hand; the agent changes nothing meanwhile
    Release {
        /// For so many minutes; 0 takes it back
        #[arg(value_parser = clap::value_parser!(u64).range(0..=LONGEST_RELEASE))]
        minutes: u64,
    },
    /// Lets the running agent do removals that it holds, in a pass that is shown step by step: exit code 0 once it has ended
    ConfirmRemoval {
        /// The code that the log and `plan` show: it names exactly those removals
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
