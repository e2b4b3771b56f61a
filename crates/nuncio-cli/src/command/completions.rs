//! `nuncio completions`

use clap_complete::{Shell, generate};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::Context;

pub(crate) fn run(
    context: &mut Context<'_>,
    shell: Shell,
    mut program: clap::Command,
) -> Result<Exit, Failure> {
    let name = program.get_name().to_owned();
    // Into memory first: the generator panics if it cannot write.
    let mut script = Vec::new();
    generate(shell, &mut program, name, &mut script);
    context.out.raw(&script)?;
    Ok(Exit::Ok)
}
