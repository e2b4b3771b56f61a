//! `nuncio certs`: a private certificate authority for small installations.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use nuncio_cli::exit::Exit;
use nuncio_cli::output::{Output, Table};
use nuncio_core::caller::certificate_name::{Kind, TrustDomain};
use nuncio_core::caller::{is_free, is_name};
use nuncio_core::ports::clock::Clock as _;
use nuncio_runtime::chain::Chain;
use nuncio_runtime::clock::SystemClock;

mod authority;
mod files;

use authority::{Authority, AuthorityError, Leaf};
use files::FileError;

/// How long the authority is valid, where nothing else is said, in days: ten years, as replacing it takes all nodes and clients.
const AUTHORITY_DAYS: u16 = 3650;
/// How long a certificate is valid, where nothing else is said, in days.
const LEAF_DAYS: u16 = 397;
/// The longest that a certificate may be valid, in days.
const LEAF_DAYS_MAX: i64 = 825;
/// The longest that an authority may be valid, in days.
const AUTHORITY_DAYS_MAX: i64 = 7300;
/// What the files of the authority are called.
const AUTHORITY: &str = "ca";

#[derive(Subcommand)]
pub(crate) enum CertsCommand {
    /// Make a certificate authority: ca.pem, which nodes and clients get, and ca.key, which stays where it is
    Init(InitArgs),
    /// Issue a certificate of a node or of a client, with a key of its own
    ///
    /// Nothing is overwritten. To renew one, issue it again into another folder by `--out`, and put both files where the
    /// node has them (it reads them without a restart), or where the client has them.
    Issue(IssueArgs),
}

#[derive(Args)]
pub(crate) struct InitArgs {
    /// The folder of the authority; it is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// What all names in its certificates begin with: `spiffe://DOMAIN/`
    #[arg(long, value_name = "DOMAIN", default_value = "nuncio.local")]
    trust_domain: TrustDomain,
    /// How many days it is valid
    #[arg(long, default_value_t = AUTHORITY_DAYS, value_parser = clap::value_parser!(u16).range(1..=AUTHORITY_DAYS_MAX))]
    days: u16,
}

#[derive(Args)]
pub(crate) struct IssueArgs {
    /// The folder of the authority
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Where the files are written [default: the folder of the authority]
    #[arg(long, value_name = "FOLDER", global = true)]
    out: Option<PathBuf>,
    /// How many days the certificate is valid
    #[arg(
        long,
        global = true,
        default_value_t = LEAF_DAYS,
        value_parser = clap::value_parser!(u16).range(1..=LEAF_DAYS_MAX)
    )]
    days: u16,
    #[command(subcommand)]
    whose: Whose,
}

#[derive(Subcommand)]
enum Whose {
    /// Of a node, which serves with it and shows it to other nodes
    Node(NodeArgs),
    /// Of a client; what it may do says `nuncio callers create NAME --certificate`
    Client {
        /// 1 to 64 letters, digits, `-`, `_` and `.`
        #[arg(long)]
        name: String,
    },
}

#[derive(Args)]
struct NodeArgs {
    /// 1 to 64 letters, digits, `-`, `_` and `.`
    #[arg(long)]
    name: String,
    /// What the node does, for people: it stands in the subject of the certificate
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<Role>,
    /// A host name by which clients reach the node; may be repeated
    #[arg(long, value_name = "HOST")]
    dns: Vec<String>,
    /// An address by which clients reach the node; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Role {
    Pan,
    Mnt,
    Psn,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "`{0}` is no name; use 1 to 64 letters, digits, `-`, `_` and `.`, and none of nuncio's own names"
    )]
    Name(String),
    #[error("a node needs a host name or an address; give `--dns` or `--ip`, as clients reach it")]
    NoHost,
    #[error("output cannot be written")]
    Output(#[from] std::io::Error),
}

/// Runs the command.
pub(crate) fn run(command: CertsCommand, out: &mut Output) -> Exit {
    let done = match command {
        CertsCommand::Init(args) => init(&args, out),
        CertsCommand::Issue(args) => issue(args, out),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(failure) => match out.note(format!("nuncio certs: {}", Chain(&failure))) {
            Ok(()) | Err(_) => Exit::Failed,
        },
    }
}

fn init(args: &InitArgs, out: &mut Output) -> Result<(), Failure> {
    let made = Authority::make(&args.trust_domain, SystemClock.now(), args.days)?;
    let paths = files::write(&args.dir, AUTHORITY, &made.pair)?;
    let mut table = told(&paths, &made.until);
    table.value("trust domain", args.trust_domain.as_str());
    out.table(&table)?;
    out.line(
        "give `ca.pem` to nodes (`grpc.tls.client_ca_file`) and to clients (`--server-ca-file`)",
    )?;
    out.line("keep `ca.key` off the nodes: who has it can pass for any of them")?;
    Ok(())
}

fn issue(args: IssueArgs, out: &mut Output) -> Result<(), Failure> {
    let leaf = match args.whose {
        Whose::Node(node) => {
            if node.dns.is_empty() && node.ip.is_empty() {
                return Err(Failure::NoHost);
            }
            let roles = node.roles.iter().filter_map(Role::to_possible_value);
            let roles = roles.map(|role| role.get_name().to_owned()).collect();
            Leaf { kind: Kind::Node, name: node.name, roles, dns: node.dns, ip: node.ip }
        }
        Whose::Client { name } => {
            Leaf { kind: Kind::Client, name, roles: vec![], dns: vec![], ip: vec![] }
        }
    };
    let is_good = match leaf.kind {
        Kind::Node => is_name(&leaf.name),
        Kind::Client => is_free(&leaf.name),
    };
    if !is_good || leaf.name == AUTHORITY {
        return Err(Failure::Name(leaf.name));
    }
    let authority = Authority::read(&files::read(&args.dir, AUTHORITY)?)?;
    let made = authority.issue(&leaf, SystemClock.now(), args.days)?;
    let folder = args.out.as_deref().unwrap_or(&args.dir);
    let paths = files::write(folder, &leaf.name, &made.pair)?;
    let mut table = told(&paths, &made.until);
    table.value("name", made.name);
    out.table(&table)?;
    match leaf.kind {
        Kind::Node => {
            out.line("name them as `grpc.tls.cert_file` and `grpc.tls.key_file` of that node")?;
        }
        Kind::Client => {
            let name = &leaf.name;
            out.line(format!(
                "say what it may do: `nuncio callers create {name} --certificate --allow submit,read`"
            ))?;
        }
    }
    out.line("before it ends, issue it again into another folder by `--out`, and put both files in place")?;
    Ok(())
}

fn told((certificate, key): &(PathBuf, PathBuf), until: &str) -> Table {
    let shown = |path: &Path| path.display().to_string();
    let mut table = Table::list();
    table.value("certificate", shown(certificate));
    table.value("private key", shown(key));
    table.value("valid until", until);
    table
}

#[cfg(test)]
mod tests;
