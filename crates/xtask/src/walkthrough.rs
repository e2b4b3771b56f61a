//! `cargo xtask walkthrough`: runs the commands of `docs/WALKTHROUGH.md` on real servers, and writes down what they say.
//!
//! So that page is its own script, and what it shows is true: a change of an output is seen as a change of the page.

mod page;
mod shell;

use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::root;
use crate::failure::{Context, Failure, Result};
use crate::servers::Servers;
use crate::walkthrough::page::Page;
use crate::walkthrough::shell::Shell;
use crate::{output, release};

/// The page, from the root of the repository.
const PAGE: &str = "docs/WALKTHROUGH.md";

/// Builds what is shipped, starts the real servers, and runs the page from its beginning to its end.
pub(crate) fn run() -> Result<()> {
    let program = release::build()?;
    let servers = output::step("start the real servers", Servers::start)?;
    let walked = output::step("walk through the page", || walk(&program, servers.env_file()));
    let stopped = output::step("stop the real servers", || servers.stop());
    walked.and(stopped)
}

fn walk(program: &Path, env_file: &Path) -> Result<()> {
    let path = root().join(PAGE);
    let before = fs::read_to_string(&path).context(format_args!("cannot read {PAGE}"))?;
    let page = Page::parse(&before);
    let folder = Folder::create()?;
    let settings =
        fs::read_to_string(env_file).context(format_args!("cannot read {}", env_file.display()))?;
    let programs = program.parent().expect("the program is a file in a folder");
    let mut shell = Shell::start(&folder.0, programs, &settings)?;
    let (after, surprises) = page.run(|commands| {
        output::say(&format!("    $ {}", commands.lines().next().unwrap_or_default()));
        shell.run(commands)
    })?;
    drop(shell);
    fs::write(&path, after).context(format_args!("cannot write {PAGE}"))?;
    if surprises.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{PAGE} is written, but these commands did not end as they did before:\n  {}",
        surprises.join("\n  ")
    )))
}

/// Where the commands run; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("nuncio-walkthrough-{}", std::process::id()));
        fs::create_dir(&path).context(format_args!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
