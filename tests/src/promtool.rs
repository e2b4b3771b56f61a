//! `promtool`, which `cargo xtask test` puts where it is looked for.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::caller::PATIENCE;

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs `promtool` with this on its standard input, and gives all that it says. Panics if it finds fault.
pub async fn promtool(args: &[&str], input: &str) -> String {
    let program = root().join("target/tools/promtool/promtool");
    assert!(program.is_file(), "`{}` is missing: run `cargo xtask test`", program.display());
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let ended = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends in time");
    let ended = ended.expect("it is our process");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(ended.status.success(), "promtool {}: {said}", args.join(" "));
    said
}
