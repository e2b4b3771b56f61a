//! `cargo xtask test`: all tests, with real servers beside them.

use crate::command::command;
use crate::environment::root;
use crate::failure::Result;
use crate::output;
use crate::servers::Servers;

/// Names the file from which the tests learn where the real servers are.
pub(crate) const SERVERS_VARIABLE: &str = "NUNCIO_TEST_SERVERS";

/// Starts the servers, runs the tests with `args`, and stops the servers whatever came out.
pub(crate) fn run(args: &[String]) -> Result<()> {
    output::say(
        "This runs all tests of the workspace against real servers: an OAuth server (oidc-provider), Postfix with",
    );
    output::say(
        "Dovecot and npm's smtp-server. What is missing is installed first: packages of the system by apt, others",
    );
    output::say(
        "into target/tools. The servers listen on free ports of 127.0.0.1 and live in a temporary folder.",
    );
    let servers = output::step("start the real servers", Servers::start)?;
    let tested = output::step("cargo test", || {
        let words = ["cargo", "test", "--locked", "--workspace"];
        crate::command::run(
            command(&root(), &words).args(args).env(SERVERS_VARIABLE, servers.env_file()),
        )
    });
    let stopped = output::step("stop the real servers", || servers.stop());
    tested.and(stopped)
}
