//! The text format of Prometheus 0.0.4, for whoever does not ask for `OpenMetrics`: `curl`, `promtool`, older programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The type of what [`classic`] makes (Prometheus, "Exposition formats").
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const TAKES_ALL: &str = "a String takes everything";

/// The same metrics as this text of `OpenMetrics` has. There a family has the name of its samples without `_total` and
/// `_info`, here it has it whole; and there is no type for information.
pub fn classic(open_metrics: &str) -> String {
    let kinds: BTreeMap<&str, &str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        match described(line) {
            Some((word, family, rest)) => {
                let (suffix, kind) = match kinds.get(family) {
                    Some(&"counter") => ("_total", "counter"),
                    Some(&"info") => ("_info", "gauge"),
                    Some(kind) => ("", *kind),
                    None => ("", rest),
                };
                let rest = if word == "TYPE" { kind } else { rest };
                writeln!(text, "# {word} {family}{suffix} {rest}").expect(TAKES_ALL);
            }
            None => writeln!(text, "{line}").expect(TAKES_ALL),
        }
    }
    text
}

/// The parts of a line that says what a family is or means.
fn described(line: &str) -> Option<(&str, &str, &str)> {
    let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (family, rest) = rest.split_once(' ')?;
    Some((word, family, rest))
}
