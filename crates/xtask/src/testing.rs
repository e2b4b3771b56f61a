//! `cargo xtask test`: all tests, with real servers beside them.

mod watched;

use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::command::{command, run as run_command};
use crate::environment::{is_set, root};
use crate::failure::Result;
use crate::install::{install_build_tools, install_system};
use crate::servers::Servers;
use crate::{cluster, output};

/// Names the file from which the tests learn where the real servers are.
pub(crate) const SERVERS_VARIABLE: &str = "NUNCIO_TEST_SERVERS";

/// Says how many tests of a binary run at once.
const THREADS_VARIABLE: &str = "RUST_TEST_THREADS";

/// How many tests of a binary run at once at least: most of them wait most of the time.
const THREADS_MIN: usize = 4;

/// How long all tests together may run: several times what they take on two cores, and less than CI waits.
const TESTS_MAX: Duration = Duration::from_mins(40);

/// Starts the servers, runs the tests with `args`, and stops the servers whatever came out.
pub(crate) fn run(args: &[String]) -> Result<()> {
    output::say(
        "This runs all tests of the workspace against real servers: an OAuth server (oidc-provider), Postfix with",
    );
    output::say(
        "Dovecot, npm's smtp-server, PostgreSQL, etcd and two proxies. What is missing is installed first: packages of the",
    );
    output::say(
        "system by apt, others into target/tools. The servers listen on free ports of 127.0.0.1 and live in a temporary folder.",
    );
    output::step("install what the build needs", install_build_tools)?;
    output::step("install what the hosts of a cluster need", || install_system(cluster::NEEDS))?;
    // Before the servers start: a mistake in a test is told without them. Tests run the program, which
    // `cargo test` builds only for tests of its own package.
    output::step("build the program", || run_command(&mut cargo_build(args)))?;
    output::step("build the tests", || run_command(cargo_test(build_args(args)).arg("--no-run")))?;
    let servers = output::step("start the real servers", Servers::start)?;
    let tested = output::step("run the tests", || {
        let mut test = cargo_test(args);
        test.env(SERVERS_VARIABLE, servers.env_file());
        if !is_set(THREADS_VARIABLE) {
            test.env(THREADS_VARIABLE, threads().to_string());
        }
        watched::run(&mut test, TESTS_MAX)
    });
    let stopped = output::step("stop the real servers", || servers.stop());
    tested.and(stopped)
}

fn threads() -> usize {
    available_parallelism().map_or(THREADS_MIN, |processors| processors.get().max(THREADS_MIN))
}

/// Those before `--`; what follows is for the tests themselves.
fn build_args(args: &[String]) -> &[String] {
    args.split(|arg| arg == "--").next().unwrap_or_default()
}

/// `cargo build` of the program, into the folder where the tests of `args` look for it.
fn cargo_build(args: &[String]) -> Command {
    let mut build = command(&root(), &["cargo", "build", "--locked", "-p", "nuncio"]);
    if build_args(args).iter().any(|arg| arg == "--release" || arg == "-r") {
        build.arg("--release");
    }
    build
}

/// `cargo test` with `args`, for all packages where none is named.
fn cargo_test(args: &[String]) -> Command {
    let mut test = command(&root(), &["cargo", "test", "--locked"]);
    if !args.iter().any(|arg| arg == "-p" || arg.starts_with("--package")) {
        test.arg("--workspace");
    }
    test.args(args);
    test
}
