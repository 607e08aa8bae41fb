//! JWT-SVIDs through the helper: a program whose path SPIRE knows, asked on our behalf. On CSM it is a hard link to
//! spire-agent.

use super::{remedy, svid};
use crate::causes::{SHOWN, one_line};
use actors::ports::IdentityError;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use spiffe::JwtSvid;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// Bytes of the longest output that is read: a token has a thousand, and the bundle beside it some more.
const LONGEST: u64 = 1 << 20;

/// One of the objects that it prints; the others are bundles.
#[derive(Deserialize)]
struct Printed {
    #[serde(default)]
    svids: Vec<PrintedSvid>,
}

#[derive(Deserialize)]
struct PrintedSvid {
    svid: String,
}

struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// All that the helper is entitled to. Dropped before it has ended, it kills the helper and all that it started.
pub async fn fetch(helper: &Path, socket: &Path, audience: &str) -> Result<Vec<JwtSvid>, IdentityError> {
    let broken = |problem: String| IdentityError::Helper { path: helper.display().to_string(), problem };
    let output = run(helper, socket, audience).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => broken(format!("is not there: {}", how_to_link(helper))),
        io::ErrorKind::FileTooLarge => {
            broken(format!("prints more than {LONGEST} bytes: is it spire-agent?"))
        }
        _ => broken(format!("cannot be run: {error}")),
    })?;
    if !output.status.success() {
        return Err(failed(helper, socket, &output));
    }
    let answer = |problem| IdentityError::Answer { program: helper.display().to_string(), problem };
    let svids = svids_in(&output.stdout).map_err(answer)?;
    if svids.is_empty() {
        return Err(denied(helper, "an empty list".to_owned()));
    }
    Ok(svids)
}

/// What `api fetch jwt` has printed. An error never quotes what it found, which may be a token.
fn svids_in(printed: &[u8]) -> Result<Vec<JwtSvid>, String> {
    let printed: Vec<Printed> = serde_json::from_slice(printed)
        .map_err(|error| format!("its output is not the JSON of `api fetch jwt` (line {})", error.line()))?;
    printed.iter().flat_map(|printed| &printed.svids).map(|token| svid::read(&token.svid)).collect()
}

async fn run(helper: &Path, socket: &Path, audience: &str) -> io::Result<Output> {
    let mut command = Command::new(helper);
    command.args(["api", "fetch", "jwt", "-output", "json", "-audience", audience, "-socketPath"]);
    command.arg(socket).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (stdout, stderr) = tokio::try_join!(all_of(child.stdout.take()), all_of(child.stderr.take()))?;
    let status = child.wait().await?;
    // Its number may be another's from here on.
    group.0 = None;
    Ok(Output { status, stdout, stderr })
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST + 1).read_to_end(&mut bytes).await?;
    }
    match bytes.len() as u64 > LONGEST {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(bytes),
    }
}

/// The helper, and what it has started: killed when this is dropped, which is before its number is free again.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn failed(helper: &Path, socket: &Path, output: &Output) -> IdentityError {
    let said = if output.stderr.trim_ascii().is_empty() { &output.stdout } else { &output.stderr };
    let said = one_line(String::from_utf8_lossy(said).trim(), SHOWN);
    // The codes of gRPC, as spire-agent prints them.
    if said.contains("PermissionDenied") {
        return denied(helper, said);
    }
    if said.contains("code = Unavailable") {
        return IdentityError::Unreachable { socket: socket.display().to_string(), problem: said };
    }
    let path = helper.display().to_string();
    IdentityError::Helper { path, problem: format!("fails ({}): {said}", output.status) }
}

/// SPIRE attests the path (facts 6.2). An update of spire-agent leaves the link to the old one behind, alone.
fn denied(helper: &Path, problem: String) -> IdentityError {
    let program = helper.display().to_string();
    let alone = std::fs::metadata(helper).is_ok_and(|metadata| metadata.nlink() == 1);
    let mut remedy = remedy(&program);
    if alone {
        remedy = format!(
            "it is a hard link to nothing any more, {}; then, if need be, {remedy}",
            how_to_link(helper)
        );
    }
    IdentityError::Denied { program, problem, remedy }
}

fn how_to_link(helper: &Path) -> String {
    format!("link spire-agent to it anew (ln -f <path of spire-agent> {})", helper.display())
}

/// Tokens or an error, whatever it printed; an error shows no token.
#[cfg(any(test, fuzzing))]
pub fn fuzz(printed: &[u8]) {
    if let Err(problem) = svids_in(printed) {
        assert!(!problem.contains("geheim"), "{problem}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fuzz_what_the_helper_prints_is_tokens_or_an_error_that_shows_none() {
        support::fuzz::fuzz("helper_output", super::fuzz);
    }
}
