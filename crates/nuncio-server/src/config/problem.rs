//! Everything that is wrong with a configuration, so that one start shows it all.

use std::fmt;
use std::path::PathBuf;

/// The configuration is not valid. Its `Display` has a line for each problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting's name, for example `grpc.listen`.
    pub key: String,
    pub source: Source,
    /// What is wrong and what to do.
    pub text: String,
}

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    /// The name of the variable.
    Environment(String),
    /// The flag with its dashes.
    Flag(String),
    Default,
}

#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem: which key, where it was given, what is wrong and what to do.
    pub(super) fn add(&mut self, key: &str, source: &Source, problem: impl fmt::Display) {
        let (key, source, text) = (key.to_owned(), source.clone(), problem.to_string());
        self.0.push(Problem { key, source, text });
    }

    /// The value, if there is no problem.
    pub(super) fn none_or<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(ConfigError { problems: self.0 }),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, self.source, self.text)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}
