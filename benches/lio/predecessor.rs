//! The predecessor's way: three `targetcli` processes for each image (marshal/lib/lio.py).

use std::process::Command;
use std::time::Instant;
use support::node::{Execs, IQN, Image};

/// What one image took.
pub struct Sample {
    /// Each of the three commands.
    pub seconds: [f64; 3],
    /// Programs that were started.
    pub programs: Vec<String>,
}

impl Sample {
    /// All three.
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

/// Makes one image a LUN.
pub fn project(image: &Image, execs: &Execs) -> Sample {
    let before = execs.started().len();
    let (luns, store) = (format!("/iscsi/{IQN}/tpg1/luns"), format!("/backstores/fileio/{}", image.name));
    let create = ["/backstores/fileio", "create", &image.name, &image.file, "0", "false", "true", &image.wwn];
    let seconds = [targetcli(&create), targetcli(&[&luns, "create", &store]), targetcli(&["saveconfig"])];
    Sample { seconds, programs: execs.started().split_off(before) }
}

/// Without the `timeout` that `support::node::run` puts before it: it would be counted. The VM has a deadline.
fn targetcli(arguments: &[&str]) -> f64 {
    let begun = Instant::now();
    let output = Command::new("targetcli").args(arguments).output().expect("targetcli");
    assert!(output.status.success(), "targetcli {arguments:?}: {output:?}");
    begun.elapsed().as_secs_f64()
}
