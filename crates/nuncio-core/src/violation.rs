//! What is wrong with an input, all of it at once.

use std::fmt;

/// One thing that is wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, for example `mail.to[3].address`.
    pub field: String,
    /// Its kind, for programs.
    pub fault: Fault,
    /// What is wrong and what would be right; lower case, without a full stop.
    pub problem: String,
}

/// The kind of a violation. With the field it tells a program what a person reads in the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Only the problem says what is wrong.
    Invalid,
    /// It must be there and is not, or is empty.
    Missing,
    /// It is not written as such a thing is written.
    Malformed,
    /// It names something that this version does not know.
    Unknown,
    /// A line break or another control character, which could smuggle a header into a mail.
    ControlCharacter,
    /// A text has too many characters.
    TooLong,
    /// A list has too many entries.
    TooMany,
    /// Too many bytes in all.
    TooLarge,
    /// A moment too far in the future.
    TooFarAhead,
    /// A number or a span of time that is too small or too large.
    OutOfRange,
}

impl Fault {
    /// The name in upper case: `TOO_MANY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Missing => "MISSING",
            Self::Malformed => "MALFORMED",
            Self::Unknown => "UNKNOWN",
            Self::ControlCharacter => "CONTROL_CHARACTER",
            Self::TooLong => "TOO_LONG",
            Self::TooMany => "TOO_MANY",
            Self::TooLarge => "TOO_LARGE",
            Self::TooFarAhead => "TOO_FAR_AHEAD",
            Self::OutOfRange => "OUT_OF_RANGE",
        }
    }
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
        self.add_as(Fault::Invalid, field, problem);
    }

    /// Notes a violation of this kind.
    pub fn add_as(&mut self, fault: Fault, field: impl Into<String>, problem: impl fmt::Display) {
        if self.0.len() < Self::MAX {
            self.0.push(Violation { field: field.into(), fault, problem: problem.to_string() });
        }
    }

    /// Takes over the value, or notes under `field` why there is none.
    pub fn check<T, E: fmt::Display>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        self.check_as(Fault::Invalid, field, result)
    }

    /// Takes over the value, or notes under `field` a violation of this kind.
    pub fn check_as<T, E: fmt::Display>(
        &mut self,
        fault: Fault,
        field: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|problem| self.add_as(fault, field, problem)).ok()
    }

    /// Notes what others found.
    pub fn append(&mut self, others: Self) {
        for Violation { field, fault, problem } in others {
            self.add_as(fault, field, problem);
        }
    }

    /// The same with `prefix` before the name of each field, for example `guest.`.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        let prefixed =
            |one: Violation| Violation { field: format!("{prefix}{}", one.field), ..one };
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
        for (index, Violation { field, fault: _, problem }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}  {field}: {problem}")?;
        }
        Ok(())
    }
}
