use clap::{Args as _, Command, Subcommand as _};

use super::ClientCommand;
use crate::globals::Globals;

/// An option of a command with the name of a global one would be taken for that one.
#[test]
fn no_command_has_an_option_with_the_name_of_a_global_one() {
    let globals = Globals::augment_args(Command::new("nuncio"));
    let program = ClientCommand::augment_subcommands(globals);
    let global = program.get_arguments().filter_map(|one| one.get_long()).collect::<Vec<_>>();
    assert!(global.contains(&"server-ca-file"), "{global:?}");

    let mut left: Vec<&Command> = program.get_subcommands().collect();
    while let Some(command) = left.pop() {
        for option in command.get_arguments().filter_map(|one| one.get_long()) {
            assert!(!global.contains(&option), "`{} --{option}`", command.get_name());
        }
        left.extend(command.get_subcommands());
    }
}
