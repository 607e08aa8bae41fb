//! The text form before OpenMetrics, which node_exporter's textfile collector and `promtool check metrics` read.

/// The same metrics: there a counter's name has its `_total` in the comments too, and there are no units and no end.
pub fn classic(openmetrics: &str) -> String {
    let counters: Vec<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::new();
    for line in openmetrics.lines().filter(|line| !line.starts_with("# UNIT ") && *line != "# EOF") {
        let comment =
            ["# HELP ", "# TYPE "].into_iter().find_map(|start| Some((start, line.strip_prefix(start)?)));
        match comment.and_then(|(start, rest)| Some((start, rest.split_once(' ')?))) {
            Some((start, (name, rest))) if counters.contains(&name) => {
                text += &format!("{start}{name}_total {rest}\n");
            }
            _ => {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_get_their_ending_in_the_comments_and_all_else_stays() {
        let openmetrics = "# HELP a_passes Passes.\n# TYPE a_passes counter\na_passes_total{b=\"c\"} 1\n\
                           # HELP a_up Up.\n# TYPE a_up gauge\n# UNIT a_up seconds\na_up 1\n# EOF\n";
        let expected = "# HELP a_passes_total Passes.\n# TYPE a_passes_total counter\na_passes_total{b=\"c\"} 1\n\
                        # HELP a_up Up.\n# TYPE a_up gauge\na_up 1\n";
        assert_eq!(classic(openmetrics), expected);
    }
}
