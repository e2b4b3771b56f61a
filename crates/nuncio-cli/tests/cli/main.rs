//! Each command against a server that answers as a script says, over a real socket.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use clap::{CommandFactory, Parser};
use nuncio_cli::command::ClientCommand;
use nuncio_cli::environment::Environment;
use nuncio_cli::exit::Exit;
use nuncio_cli::globals::Globals;
use nuncio_cli::output::Output;
use nuncio_cli::run::run;

mod fake;

mod doctor;
mod failures;
mod jobs;
mod send;
mod settings;
mod trust;

/// A program that has the client commands only.
#[derive(Parser)]
#[command(name = "nuncio")]
struct Program {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: ClientCommand,
}

/// What a command printed and how it ended.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Ran {
    /// The standard output as one JSON value.
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

async fn nuncio(server: &str, args: &[&str]) -> Ran {
    nuncio_in(server, args, Environment::default()).await
}

async fn nuncio_in(server: &str, args: &[&str], environment: Environment) -> Ran {
    let program = [&["nuncio", "--server", server], args].concat();
    let Program { globals, command } = Program::try_parse_from(program).unwrap();
    let (out, err) = (Shared::default(), Shared::default());
    let mut output = Output::to(out.clone(), err.clone(), &globals);
    let exit = run(command, &globals, &environment, &mut output, Program::command()).await;
    Ran { exit, out: out.text(), err: err.text() }
}

/// A writer that keeps what is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader of the output who has gone away.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_command_line_is_consistent() {
    Program::command().debug_assert();
}

#[tokio::test]
async fn completions_name_the_commands() {
    let ran = nuncio("http://127.0.0.1:1", &["completions", "bash"]).await;

    assert_eq!(ran.exit, Exit::Ok);
    assert!(ran.out.contains("--request-id"), "{}", ran.out);
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let parsed = Program::try_parse_from(["nuncio", "completions", "bash"]).unwrap();
    let err = Shared::default();
    let mut output = Output::to(Closed, err.clone(), &parsed.globals);

    let environment = Environment::default();
    let exit =
        run(parsed.command, &parsed.globals, &environment, &mut output, Program::command()).await;

    assert_eq!(exit, Exit::Ok);
    assert_eq!(err.text(), "");
}
