//! The limit: the writes of one image after the other, bare, without any look at what they do.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::time::Instant;
use support::node::Image;
use support::node::configfs::{configfs, tpg};

/// Nobody else's.
const FIRST_HBA: usize = 2_000_000;

/// Seconds for all of these; their files have been looked into before, as by the agent.
pub fn project(images: &[Image]) -> f64 {
    let sizes: Vec<u64> = images.iter().map(|image| read(image).expect("the file of an image")).collect();
    let begun = Instant::now();
    for (n, (image, size)) in images.iter().zip(sizes).enumerate() {
        one(n, image, size).unwrap_or_else(|error| panic!("{}: {error}", image.file));
    }
    begun.elapsed().as_secs_f64()
}

fn read(image: &Image) -> io::Result<u64> {
    let mut superblock = [0; 96];
    io::Read::read_exact(&mut fs::File::open(&image.file)?, &mut superblock)?;
    Ok(fs::metadata(&image.file)?.len())
}

fn one(n: usize, image: &Image, size: u64) -> io::Result<()> {
    let hba = configfs(&format!("core/fileio_{}", FIRST_HBA + n));
    let home = hba.join(&image.name);
    fs::create_dir(&hba)?;
    fs::create_dir(&home)?;
    write(home.join("control"), &format!("fd_dev_name={},fd_dev_size={size}", image.file))?;
    write(home.join("udev_path"), &image.file)?;
    write(home.join("enable"), "1")?;
    write(home.join("wwn/vpd_unit_serial"), &image.wwn)?;
    write(home.join("attrib/emulate_model_alias"), "1")?;
    let lun = configfs(&format!("{}/lun/lun_{}", tpg(), n + 1));
    fs::create_dir(&lun)?;
    symlink(&home, lun.join(&image.name))
}

fn write(path: std::path::PathBuf, value: &str) -> io::Result<()> {
    use io::Write;
    fs::OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}
