//! `cargo xtask ci`: everything that must hold before a change is merged, cheapest first.

use std::fs;
use std::time::Duration;

use crate::command::{command, run as run_command};
use crate::environment::root;
use crate::failure::{Context as _, Failure, Result};
use crate::install::{
    Npm, install_build_tools, install_cargo_deny, install_npm, install_rust_components,
};
use crate::output::{self, Stopwatch, seconds};
use crate::{testing, tidy};

/// Runs all steps, or those up to the first that fails.
pub(crate) fn run() -> Result<()> {
    let mut report = Report::default();
    let result = steps(&mut report);
    report.print();
    result
}

fn steps(report: &mut Report) -> Result<()> {
    let npm = report.step("install", install)?;
    report.step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    report.step("tidy", tidy::run)?;
    report.step("proto", || check_protos(&npm))?;
    report.step("clippy", || {
        cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"])
    })?;
    report.step("fuzz", check_fuzz_targets)?;
    report.step("doc", || {
        let words = ["cargo", "doc", "--locked", "--workspace", "--no-deps", "--quiet"];
        run_command(command(&root(), &words).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    report.step("deny", check_dependencies)?;
    report.step("test", || testing::run(&[]))
}

fn install() -> Result<Npm> {
    install_build_tools()?;
    install_rust_components()?;
    install_npm()
}

fn cargo(args: &[&str]) -> Result<()> {
    run_command(command(&root(), &["cargo"]).args(args))
}

fn check_protos(npm: &Npm) -> Result<()> {
    let buf = npm.buf()?;
    let buf = buf.to_string_lossy();
    run_command(&mut command(&root(), &[&buf, "lint", "proto"]))?;
    run_command(&mut command(&root(), &[&buf, "format", "--diff", "--exit-code", "proto"]))
}

/// The targets of the fuzzer still compile. They are a workspace of their own, as only a nightly compiler links them; they
/// are checked with the versions that all else is built with.
fn check_fuzz_targets() -> Result<()> {
    let fuzz = root().join("crates/nuncio-smtp/fuzz");
    let (from, to) = (root().join("Cargo.lock"), fuzz.join("Cargo.lock"));
    fs::copy(&from, &to).context(format_args!("cannot copy {}", from.display()))?;
    let manifest = fuzz.join("Cargo.toml");
    // That of all else: most of what they need is built there.
    let target = root().join("target");
    let words = ["cargo", "check", "--quiet", "--no-default-features", "--manifest-path"];
    let mut check = command(&root(), &words);
    run_command(check.arg(manifest).arg("--target-dir").arg(target))
}

/// Bans, licences and sources. Not advisories: their database is not to be had everywhere.
fn check_dependencies() -> Result<()> {
    let program = install_cargo_deny()?;
    let program = program.to_string_lossy();
    let words = [&program, "--config", ".deny.toml", "check", "bans", "licenses", "sources"];
    output::say("    advisories are not checked here; see .deny.toml");
    run_command(&mut command(&root(), &words))
}

/// What each step took.
#[derive(Default)]
struct Report(Vec<(&'static str, Duration)>);

impl Report {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let watch = Stopwatch::start();
        let result = output::step(name, work);
        self.0.push((name, watch.elapsed()));
        result.map_err(|failure| Failure::new(format!("step `{name}` failed: {failure}")))
    }

    fn print(&self) {
        output::say("\nStep       Time");
        for (name, time) in &self.0 {
            output::say(&format!("{name:<10} {}", seconds(*time)));
        }
        let total: Duration = self.0.iter().map(|(_name, time)| *time).sum();
        output::say(&format!("{:<10} {}", "together", seconds(total)));
    }
}
