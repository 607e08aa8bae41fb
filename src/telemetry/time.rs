//! The time of an event, in the two forms that log stores want. One reading of the clock gives both.

use std::time::Duration;

use serde_json::{Number, Value};

const SECONDS_A_DAY: u64 = 86_400;

/// Seconds since 1970 with their fraction, as Splunk's HEC wants its time.
pub(super) fn epoch(since_1970: Duration) -> Value {
    // A double holds microseconds of this century exactly enough: 2^53 µs are 285 years.
    Number::from_f64(since_1970.as_micros() as f64 / 1e6).map_or(Value::Null, Value::Number)
}

/// `2026-10-01T12:00:00.123456Z`.
pub(super) fn rfc3339(since_1970: Duration) -> String {
    let (days, second) = (since_1970.as_secs() / SECONDS_A_DAY, since_1970.as_secs() % SECONDS_A_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let micros = since_1970.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The date of a day counted from 1970 on. Years begin in March here, so that the leap day is their last
/// (Howard Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01 on
    let (era, day) = (days / 146_097, days % 146_097); // 400 years
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    if month < 10 { (era * 400 + year, month + 3, day) } else { (era * 400 + year + 1, month - 9, day) }
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
        ] {
            assert_eq!(rfc3339(Duration::from_secs(second)), text);
        }
    }

    #[test]
    fn both_forms_have_the_same_microseconds() {
        let now = Duration::from_micros(1_784_000_000_123_456);
        assert_eq!(rfc3339(now), "2026-07-14T03:33:20.123456Z");
        assert_eq!(epoch(now).to_string(), "1784000000.123456");
    }
}
