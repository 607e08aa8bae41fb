//! The body of one object, read chunk by chunk, because the length that a server announces proves nothing.

use super::refusal::broken_off;
use crate::plain::Plain;
use actors::model::Md5Sum;
use actors::ports::S3Error;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use md5::{Digest, Md5};
use std::time::{Duration, Instant};

/// Bytes a second when an object is read for its checksum only. An image of 22 GB takes 6 min then, and this thread,
/// which hears signals too, computes for a tenth of them; a gateway that serves a whole machine room hardly notices.
const RATE: u64 = 64 << 20;

/// A timer is good for milliseconds, and a chunk takes less: so what is owed is waited for in one go.
const OWED: Duration = Duration::from_millis(20);

/// Its bytes, at most `limit` of them.
pub async fn whole(what: &str, mut object: GetObjectOutput, limit: u64) -> Result<Vec<u8>, S3Error> {
    let mut body = Vec::new();
    while let Some(chunk) = object.body.try_next().await.map_err(|error| broken_off(what, &error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(S3Error::TooLarge { what: what.to_owned(), limit });
        }
        body.extend_from_slice(&chunk);
    }
    tracing::debug!(what, bytes = body.len(), "S3 object");
    Ok(body)
}

/// MD5 of its bytes; one chunk is in memory at a time, and each has this deadline. So that a large
/// object may take its time, and one that stops coming may not.
pub async fn md5(what: &str, mut object: GetObjectOutput, deadline: Duration) -> Result<Md5Sum, S3Error> {
    let mut hash = Md5::new();
    let (mut read, mut pace) = (0_u64, Pace::new(Instant::now()));
    let late = |_| S3Error::Timeout { what: what.to_owned() };
    while let Some(chunk) = tokio::time::timeout(deadline, object.body.try_next())
        .await
        .map_err(late)?
        .map_err(|error| broken_off(what, &error))?
    {
        hash.update(&chunk);
        read += chunk.len() as u64;
        if let Some(wait) = pace.after(chunk.len(), Instant::now()) {
            tokio::time::sleep(wait).await;
        }
    }
    // HTTP notices this by itself, unless something in between has taken the answer apart.
    let promised = object.content_length().and_then(|length| u64::try_from(length).ok());
    if promised.is_some_and(|promised| promised != read) {
        let short = Plain::new(format!("{read} bytes came, {} were announced", promised.unwrap_or_default()));
        return Err(S3Error::Failed { what: what.to_owned(), source: short.into() });
    }
    tracing::debug!(what, bytes = read, "S3 object hashed");
    Ok(Md5Sum::of_digest(hash.finalize().into()))
}

/// Holds a reader to [`RATE`]. Time in which nothing came is not made up for.
struct Pace {
    free_at: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Pace { free_at: now }
    }

    /// How long to wait before the next chunk, after one of so many bytes.
    fn after(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        self.free_at = self.free_at.max(now) + Duration::from_nanos(bytes as u64 * 1_000_000_000 / RATE);
        let owed = self.free_at.duration_since(now);
        (owed >= OWED).then_some(owed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long so many bytes take that all are there at once, in chunks of this size.
    fn takes(bytes: usize, chunk: usize, pace: &mut Pace, begun: Instant) -> Duration {
        let mut now = begun;
        for _ in 0..bytes / chunk {
            now += pace.after(chunk, now).unwrap_or_default();
        }
        now - begun
    }

    #[test]
    fn an_object_is_read_at_64_mib_a_second_and_not_faster_whatever_the_chunks() {
        let begun = Instant::now();
        for chunk in [1 << 10, 16 << 10, 1 << 20, 64 << 20] {
            let took = takes(640 << 20, chunk, &mut Pace::new(begun), begun);
            assert!(took > Duration::from_secs(10) - OWED && took < Duration::from_secs(11), "{took:?}");
        }
    }

    #[test]
    fn after_a_stand_still_it_goes_on_no_faster_than_before() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        takes(64 << 20, 1 << 20, &mut pace, begun);
        let later = begun + Duration::from_secs(3600);
        assert!(takes(64 << 20, 1 << 20, &mut pace, later) > Duration::from_secs(1) - OWED);
    }
}
