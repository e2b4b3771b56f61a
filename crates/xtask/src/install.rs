//! Brings what a command needs and the machine lacks. What is there already is left alone.
//!
//! Tools of ours go to `target/tools`; only compilers, servers and interpreters come from the system's packages.

mod promtool;
mod system;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{command, read, run, works};
use crate::environment::{root, tools};
use crate::failure::{Context, Failure, Result};
use crate::output;

pub(crate) use promtool::install_promtool;
pub(crate) use system::{Need, install as install_system, postgres_folder};

/// Checked against `.deny.toml`; newer ones may know keys that this one does not.
const CARGO_DENY_VERSION: &str = "0.20.2";
/// The oldest that runs oidc-provider 9.
const NODE_MAJOR_MIN: u32 = 20;
/// Where the system has an older one: the package of npm that holds nothing but the program.
const NODE_VERSION: &str = "22";

/// What the crates of the workspace are compiled with.
pub(crate) fn install_build_tools() -> Result<()> {
    install_system(&[Need::Compiler, Need::Protoc])
}

/// `rustfmt` and `clippy`.
pub(crate) fn install_rust_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !works(&mut command(&root(), &["cargo", subcommand, "--version"])) {
            run(&mut command(&root(), &["rustup", "component", "add", component]))?;
        }
    }
    Ok(())
}

/// The packages of `tests/real-servers/package-lock.json`, and `buf`.
pub(crate) fn install_npm() -> Result<Npm> {
    let node = install_node()?;
    let folder = tools().join("npm");
    let manifests = root().join("tests/real-servers");
    let lock = read_file(&manifests.join("package-lock.json"))?;
    installed_once(&folder, &lock, || {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(manifests.join(name), folder.join(name))
                .context(format_args!("cannot copy {name}"))?;
        }
        // No scripts: nothing of what is used here needs one.
        let words =
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run(&mut command(&folder, &words))
    })?;
    Ok(Npm { node, folder })
}

/// A Python with the packages of the documented Python client.
pub(crate) fn install_python() -> Result<PathBuf> {
    install_system(&[Need::Python])?;
    let folder = tools().join("python");
    let requirements = root().join("docs/clients/python/requirements.txt");
    let python = folder.join("bin/python");
    installed_once(&folder, &read_file(&requirements)?, || {
        if !works(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)) {
            install_system(&[Need::PythonVenv])?;
            run(Command::new("/usr/bin/python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        }
        run(Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(&requirements))
    })?;
    Ok(python)
}

/// `cargo-deny`, built without optimisation: it reads manifests for two seconds.
pub(crate) fn install_cargo_deny() -> Result<PathBuf> {
    let _lock = lock(&tools().join("cargo-deny"))?;
    let program = tools().join("bin/cargo-deny");
    if read(Command::new(&program).arg("--version"))
        .is_ok_and(|version| version.contains(CARGO_DENY_VERSION))
    {
        return Ok(program);
    }
    install_system(&[Need::Compiler])?;
    let words = ["cargo", "install", "--quiet", "--locked", "--force", "--no-default-features"];
    run(command(&root(), &words)
        .args(["--version", CARGO_DENY_VERSION, "cargo-deny", "--root"])
        .arg(tools())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "0"))?;
    Ok(program)
}

fn install_node() -> Result<PathBuf> {
    install_system(&[Need::Node, Need::Npm])?;
    let version = read(&mut command(&root(), &["node", "--version"]))?;
    if major(&version).is_some_and(|major| major >= NODE_MAJOR_MIN) {
        return Ok(PathBuf::from("node"));
    }
    let architecture = npm_architecture()?;
    let package = format!("node-linux-{architecture}");
    let folder = tools().join("node");
    let program = folder.join("node_modules").join(&package).join("bin/node");
    installed_once(&folder, NODE_VERSION, || {
        let words = [
            "npm",
            "install",
            "--no-save",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
        ];
        run(command(&folder, &words).arg(format!("{package}@{NODE_VERSION}")))
    })?;
    Ok(program)
}

/// Node and the packages installed for it.
#[derive(Debug)]
pub(crate) struct Npm {
    /// The interpreter.
    pub(crate) node: PathBuf,
    folder: PathBuf,
}

impl Npm {
    pub(crate) fn modules(&self) -> PathBuf {
        self.folder.join("node_modules")
    }

    /// The program that checks protobuf files.
    pub(crate) fn buf(&self) -> Result<PathBuf> {
        let package = match npm_architecture()? {
            "x64" => "buf-linux-x64",
            _arm => "buf-linux-aarch64",
        };
        Ok(self.modules().join("@bufbuild").join(package).join("bin/buf"))
    }
}

/// Installs into `folder` unless the same `recipe` was installed there before, to its end.
fn installed_once(folder: &Path, recipe: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let _lock = lock(folder)?;
    let stamp = folder.join(".installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == recipe) {
        return Ok(());
    }
    output::say(&format!("    installing into {}", folder.display()));
    fs::create_dir_all(folder).context(format_args!("cannot create {}", folder.display()))?;
    install()?;
    fs::write(&stamp, recipe).context(format_args!("cannot write {}", stamp.display()))
}

/// Waits until no other command is installing the same: any number may run side by side.
fn lock(what: &Path) -> Result<File> {
    let path = what.with_extension("lock");
    fs::create_dir_all(tools()).context(format_args!("cannot create {}", tools().display()))?;
    let lock = File::create(&path).context(format_args!("cannot create {}", path.display()))?;
    lock.lock().context(format_args!("cannot lock {}", path.display()))?;
    Ok(lock)
}

fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(format_args!("cannot read {}", path.display()))
}

/// The first number of a version such as `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn npm_architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("x64"),
        "aarch64" => Ok("arm64"),
        other => {
            Err(Failure::new(format!("no tools of npm are known for the processor `{other}`")))
        }
    }
}
