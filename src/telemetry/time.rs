//! The time of an event, in the two forms that log stores want. One reading of the clock gives both.

use std::time::Duration;

use serde_json::{Number, Value};
use time::OffsetDateTime;

/// Seconds since 1970 with their fraction, as Splunk's HEC wants its time.
pub(super) fn epoch(since_1970: Duration) -> Value {
    // A double holds microseconds of this century exactly enough: 2^53 µs are 285 years.
    Number::from_f64(since_1970.as_micros() as f64 / 1e6).map_or(Value::Null, Value::Number)
}

/// `2026-10-01T12:00:00.123456Z`, in always so many characters; it stops at the end of the year 9999.
pub(super) fn rfc3339(since_1970: Duration) -> String {
    let since_1970 = since_1970.try_into().unwrap_or(time::Duration::MAX);
    let now = OffsetDateTime::UNIX_EPOCH.saturating_add(since_1970);
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second, micros) = now.to_hms_micro();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_around_leap_years_have_their_date() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (1_772_323_200, "2026-03-01T00:00:00.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(second)), text);
        }
        assert_eq!(rfc3339(Duration::MAX), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn both_forms_have_the_same_microseconds() {
        let now = Duration::from_micros(1_784_000_000_123_456);
        assert_eq!(rfc3339(now), "2026-07-14T03:33:20.123456Z");
        assert_eq!(epoch(now).to_string(), "1784000000.123456");
    }
}
