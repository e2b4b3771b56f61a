//! What was seen within the last while, in bounded memory.

use jiff::Timestamp;

use crate::alarm::kind::{Condition, Measure};

/// How many parts a window has: it is exact to one of them.
pub const PARTS: i64 = 20;

/// The raises of an alarm within the window of its condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Window {
    /// In the order of time; at most [`PARTS`] and one.
    pub parts: Vec<Part>,
}

/// What was seen in a part of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Which part, counted from the epoch in the length of a part.
    pub number: i64,
    pub count: u64,
    pub sum: f64,
}

impl Window {
    /// Takes a raise, and forgets what lies before the window.
    pub fn take(&mut self, condition: &Condition, value: f64, now: Timestamp) {
        let number = part_number(condition, now);
        self.parts.retain(|part| number - PARTS < part.number);
        match self.parts.iter_mut().find(|part| part.number == number) {
            Some(part) => {
                part.count += 1;
                part.sum += value;
            }
            None => self.parts.push(Part { number, count: 1, sum: value }),
        }
    }

    /// Whether the condition holds for what lies in the window.
    pub fn holds(&self, condition: &Condition) -> bool {
        self.measured(condition.measure)
            .is_some_and(|measured| condition.operator.holds(measured, condition.value))
    }

    /// What is compared; none if nothing was seen.
    pub fn measured(&self, measure: Measure) -> Option<f64> {
        let count: u64 = self.parts.iter().map(|part| part.count).sum();
        let sum: f64 = self.parts.iter().map(|part| part.sum).sum();
        #[expect(clippy::cast_precision_loss, reason = "2^52 raises in a window are beyond reach")]
        let count = count as f64;
        match measure {
            Measure::Occurrences => Some(count),
            Measure::Value if count == 0.0 => None,
            Measure::Value => Some(sum / count),
        }
    }
}

fn part_number(condition: &Condition, now: Timestamp) -> i64 {
    let window = i64::try_from(condition.window.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().div_euclid((window / PARTS).max(1))
}

#[cfg(test)]
mod tests;
