//! `promtool`, which checks metrics and alert rules in the tests.

use std::fs;

use crate::environment::tools;
use crate::failure::{Context, Result};

/// Debian's package. Installing it would start a server, and most of it is not needed.
const PACKAGE: &str = "prometheus";

/// Puts the program to `target/tools/promtool/promtool`, where the tests look for it.
pub(crate) fn install_promtool() -> Result<()> {
    let folder = tools().join("promtool");
    super::installed_once(&folder, PACKAGE, || {
        let unpacked = folder.join("unpacked");
        fs::create_dir_all(&unpacked)
            .context(format_args!("cannot create {}", unpacked.display()))?;
        super::system::unpack(PACKAGE, &unpacked)?;
        let (from, to) = (unpacked.join("usr/bin/promtool"), folder.join("promtool"));
        fs::rename(&from, &to).context(format_args!("cannot move {}", from.display()))?;
        fs::remove_dir_all(&unpacked).context(format_args!("cannot remove {}", unpacked.display()))
    })
}
