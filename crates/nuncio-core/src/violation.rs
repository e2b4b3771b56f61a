//! What is wrong with an input, all of it at once.

use std::fmt;

/// One thing that is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, for example `mail.to[3].address`.
    pub field: String,
    /// What is wrong and what would be right; lower case, without a full stop.
    pub problem: String,
}

/// Collects violations, so that a caller learns of all of them in one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// How many violations an answer holds; what is wrong beyond them is not noted.
    ///
    /// A mail with a thousand wrong recipients must not make an answer of a megabyte.
    pub const MAX: usize = 100;

    /// Notes a violation: which field, what is wrong with it, and what to do.
    pub fn add(&mut self, field: impl Into<String>, problem: impl fmt::Display) {
        if self.0.len() < Self::MAX {
            self.0.push(Violation { field: field.into(), problem: problem.to_string() });
        }
    }

    /// Takes over the value, or notes under `field` why there is none.
    pub fn check<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|problem| self.add(field, problem)).ok()
    }

    /// Notes what others found.
    pub fn append(&mut self, others: Self) {
        for Violation { field, problem } in others {
            self.add(field, problem);
        }
    }

    /// The same with `prefix` before the name of each field, for example `guest.`.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        let prefixed =
            |Violation { field, problem }| Violation { field: format!("{prefix}{field}"), problem };
        Self(self.0.into_iter().map(prefixed).collect())
    }

    /// Gives `value` if nothing is wrong.
    pub fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value()) } else { Err(self) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Violation { field, problem }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}  {field}: {problem}")?;
        }
        Ok(())
    }
}
