//! The process that starts a cluster, obeys orders, and stops it when its standard input ends.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use super::hosts::{GRPC_PORT, known};
use super::order::{HELP, Order};
use super::running::Running;
use super::world::ENV_FILE;
use crate::failure::Result;
use crate::output;

/// The last line of an answer.
const DONE: &str = "ok";
const FAILED: &str = "failed: ";

/// Starts a cluster, says where it is, obeys, and stops it. Each order is answered on standard output by lines of which the
/// last is `ok`, or begins with `failed: `.
pub(super) fn keep(program: PathBuf, with_provider: bool) -> Result<()> {
    let mut running = output::step("start the cluster", || Running::start(program, with_provider))?;
    explain(&running, with_provider);
    answer(&format!("{DONE} {}", running.world.folder.join(ENV_FILE).display()));
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let order = match Order::parse(&line) {
            Ok(Order::Quit) => break,
            Ok(order) => order,
            Err(problem) => {
                answer(&format!("{FAILED}{problem}"));
                continue;
            }
        };
        match running.obey(order) {
            Ok(said) => answer(&format!("{said}{DONE}")),
            Err(failure) => {
                answer(&format!("{FAILED}{}", failure.to_string().replace('\n', "; ")));
            }
        }
    }
    output::step("stop the cluster", || running.stop())
}

/// Where nobody listens any more, standard input has ended as well.
fn answer(text: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
}

fn explain(running: &Running, with_provider: bool) {
    let client = running.client(known("psn-1"));
    output::say(
        "\nAs the administrator of the cluster, in another terminal (7587 is gRPC, 7588 health and metrics):\n",
    );
    for (name, value) in client.get_envs() {
        let value = value.unwrap_or_default().to_string_lossy();
        output::say(&format!("    export {}={value}", name.to_string_lossy()));
    }
    let program = client.get_program().to_string_lossy().into_owned();
    output::say(&format!("    {program} nodes"));
    if with_provider {
        output::say(&format!(
            "    {program} send --to guest@example.com --subject Hello --text Hello --wait"
        ));
    }
    output::say(&format!("\nThe port of every node is {GRPC_PORT}. Orders, here:\n\n{HELP}\n"));
}
