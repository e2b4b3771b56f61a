//! A line of text whose parts have tones.

use std::fmt::Write;

/// What a part of a text means; on a terminal it has a colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warning,
    Bad,
    Dim,
    Strong,
}

impl Tone {
    /// The SGR parameter (ECMA-48, section 8.3.117).
    fn sgr(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Good => Some(32),
            Self::Warning => Some(33),
            Self::Bad => Some(31),
            Self::Dim => Some(2),
            Self::Strong => Some(1),
        }
    }
}

/// A line of text whose parts have tones.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Line(Vec<(Tone, String)>);

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        self.0.push((tone, clean(text.as_ref())));
        self
    }

    pub fn plain(self, text: impl AsRef<str>) -> Self {
        self.push(Tone::Plain, text)
    }

    pub(super) fn render(&self, colors: bool) -> String {
        let mut rendered = String::new();
        for (tone, text) in &self.0 {
            match tone.sgr().filter(|_| colors) {
                Some(sgr) => write!(rendered, "\u{1b}[{sgr}m{text}\u{1b}[0m"),
                None => write!(rendered, "{text}"),
            }
            .expect("a string takes all");
        }
        rendered.truncate(rendered.trim_end().len());
        rendered
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().plain(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::new().plain(text)
    }
}

/// Text without control characters, which could move the cursor or change what stands elsewhere.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
