//! A page of Markdown that is its own script.
//!
//! In a block of the language `console`, a line that begins with `$ ` is a command, the lines behind it that begin with
//! `> ` belong to it, and all others are what it said. A comment that begins with `<!-- run` is run too, but not shown.

use crate::failure::Result;

const CONSOLE: &str = "```console";
const FENCE: &str = "```";
const HIDDEN: &str = "<!-- run";
const HIDDEN_END: &str = "-->";

/// What a command said, and how it ended.
pub(super) struct Said {
    pub(super) output: String,
    pub(super) code: i32,
}

pub(super) struct Page(Vec<Piece>);

enum Piece {
    Text(String),
    /// Shown with all its lines; `expected` is the exit code that the page tells.
    Command {
        lines: String,
        expected: i32,
    },
    Hidden(String),
}

impl Page {
    pub(super) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            pieces.push(Piece::Text(line.to_owned()));
            if line == CONSOLE {
                while let Some(line) = lines.next_if(|line| *line != FENCE) {
                    if let Some(command) = line.strip_prefix("$ ") {
                        pieces.push(Piece::Command { lines: command.to_owned(), expected: 0 });
                    } else if let Some(Piece::Command { lines, expected }) = pieces.last_mut() {
                        continue_command(lines, expected, line);
                    }
                }
            } else if line == HIDDEN {
                let mut hidden = String::new();
                while let Some(line) = lines.next_if(|line| *line != HIDDEN_END) {
                    hidden.push_str(line);
                    hidden.push('\n');
                }
                pieces.push(Piece::Hidden(hidden));
            }
        }
        Self(pieces)
    }

    /// Runs every command, and gives the page as it is now with the commands that ended otherwise than it told.
    pub(super) fn run(
        &self,
        mut run: impl FnMut(&str) -> Result<Said>,
    ) -> Result<(String, Vec<String>)> {
        let (mut page, mut surprises) = (String::new(), Vec::new());
        let mut add = |line: &str| {
            page.push_str(line.trim_end());
            page.push('\n');
        };
        for piece in &self.0 {
            let (commands, expected) = match piece {
                Piece::Text(line) => {
                    add(line);
                    continue;
                }
                Piece::Hidden(commands) => {
                    commands.lines().for_each(&mut add);
                    (commands, 0)
                }
                Piece::Command { lines, expected } => {
                    for (index, line) in lines.lines().enumerate() {
                        add(&format!("{} {line}", if index == 0 { '$' } else { '>' }));
                    }
                    (lines, *expected)
                }
            };
            let said = run(commands)?;
            if matches!(piece, Piece::Command { .. }) {
                said.output.lines().for_each(&mut add);
                if said.code != 0 {
                    add(&format!("[exit code {}]", said.code));
                }
            }
            if said.code != expected {
                let first = commands.lines().next().unwrap_or_default();
                surprises.push(format!("{first}: exit code {}, not {expected}", said.code));
            }
        }
        Ok((page, surprises))
    }
}

/// A line behind a command: more of it, its exit code, or what it said.
fn continue_command(lines: &mut String, expected: &mut i32, line: &str) {
    if let Some(more) = line.strip_prefix("> ") {
        lines.push('\n');
        lines.push_str(more);
    } else if let Some(code) = line.strip_prefix("[exit code ") {
        *expected = code.trim_end_matches(']').parse().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests;
