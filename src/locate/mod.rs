//! `sbps-marshal locate`: one image, by any of its names, and the form in which each consumer wants it. Pure.

mod find;
mod located;
mod multipath;
mod refusal;
mod table;
mod volume;
mod yaml;

pub use find::{LocateError, find};
pub use located::{Located, Seen};
pub use refusal::{Offer, Refusal};

/// In which form an image is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Everything on one screen
    Table,
    /// The same as one JSON object
    Json,
    /// Kubernetes: a PersistentVolume and the claim that binds it, for kubectl apply -f -
    Pv,
    /// Kernel command lines that boot it with stock dracut, one for each portal
    Dracut,
    /// multipath.conf: a file for /etc/multipath/conf.d that gives it the alias that SBPS waits for
    Multipath,
}

impl Located {
    /// As text that ends with a newline.
    pub fn render(&self, format: Format) -> Result<String, LocateError> {
        Ok(match format {
            Format::Table => table::table(self),
            Format::Json => serde_json::to_string_pretty(self)? + "\n",
            Format::Pv => volume::yaml(self.volume.given("PersistentVolume")?),
            Format::Dracut => self.dracut.given("kernel command line")?.join("\n") + "\n",
            Format::Multipath => multipath::block(self.multipath.given("multipath alias")?),
        })
    }
}

#[cfg(test)]
mod tests;
