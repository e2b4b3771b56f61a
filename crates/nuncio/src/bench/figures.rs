//! A list of figures, the same for people and for programs.

use nuncio_cli::globals::Format;
use nuncio_cli::output::{Output, Table};
use serde_json::{Map, Value, json};

use crate::bench::Failure;

/// Figures in the order in which they are told.
#[derive(Default)]
pub(super) struct Figures(Vec<Figure>);

struct Figure {
    /// For programs.
    key: &'static str,
    /// For people.
    name: &'static str,
    value: f64,
    unit: &'static str,
}

impl Figures {
    pub(super) fn put(
        &mut self,
        key: &'static str,
        name: &'static str,
        value: f64,
        unit: &'static str,
    ) {
        self.0.push(Figure { key, name, value, unit });
    }

    pub(super) fn tell(&self, out: &mut Output) -> Result<(), Failure> {
        match out.format() {
            Format::Json => {
                let values = self.0.iter().map(|it| (it.key.to_owned(), json!(it.value)));
                out.value(&Value::Object(values.collect::<Map<_, _>>()))?;
            }
            Format::Table => {
                let mut table = Table::list();
                for it in &self.0 {
                    table.value(it.name, shown(it.value, it.unit));
                }
                out.table(&table)?;
            }
        }
        Ok(())
    }
}

/// With three digits at least where there are any.
fn shown(value: f64, unit: &str) -> String {
    if value.fract() == 0.0 || 100.0 <= value {
        format!("{value:.0} {unit}")
    } else if 1.0 <= value {
        format!("{value:.2} {unit}")
    } else {
        format!("{value:.4} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_figures_keep_their_digits() {
        assert_eq!(shown(12345.6, "/s"), "12346 /s");
        assert_eq!(shown(3.0, "MiB"), "3 MiB");
        assert_eq!(shown(2.345, "ms"), "2.35 ms");
        assert_eq!(shown(0.0321, "ms"), "0.0321 ms");
    }
}
