//! The folder of a cluster: keys, certificates, configurations, data and logs of all hosts.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::hosts::{
    ETCD_PEER_PORT, ETCD_PORT, GRPC_PORT, HOSTS, HTTP_PORT, Host, Kind, POSTGRES_PORT, Subnet,
    databases, known, members_of_etcd, own,
};
use crate::command::read;
use crate::environment::{User, root};
use crate::failure::{Context, Result};
use crate::servers::etcd::{ROOT, Root};
use crate::servers::postgres::{Account, Server};
use crate::servers::settings::{hex, random};
use crate::template;

/// What tells where everything is, one `KEY=VALUE` a line.
pub(super) const ENV_FILE: &str = "cluster.env";
/// Who may do everything in the PostgreSQL.
const DATABASE: &str = "nuncio";
/// The caller that may do everything in all nodes.
const ADMIN: &str = "admin";
/// Users of etcd that are roles of nuncio have these names; so have their certificates.
const ETCD_USERS: &[&str] = &[ROOT, "nuncio-pan", "nuncio-mnt", "nuncio-psn"];
const PASSWORD_BYTES: usize = 24;
/// Settings of the database that let its clients in, by TLS alone.
const HBA: &str = "hostssl all all all scram-sha-256\nhostssl replication all all scram-sha-256\n";

/// The folder, and what all hosts have to agree on.
pub(super) struct World {
    pub(super) folder: PathBuf,
    /// The program `nuncio`.
    pub(super) program: PathBuf,
    subnet: Subnet,
    password: String,
}

impl World {
    /// Makes the folder, with a folder for each host.
    pub(super) fn create(program: PathBuf, subnet: Subnet) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("nuncio-cluster-{}", std::process::id()));
        let world = Self { folder, program, subnet, password: hex(&random::<PASSWORD_BYTES>()?) };
        open_folder(&world.folder)?;
        for name in ["log", "pki"] {
            open_folder(&world.folder.join(name))?;
        }
        for host in HOSTS {
            open_folder(&world.host_folder(host))?;
        }
        Ok(world)
    }

    /// An authority of its own, and certificates by it for all.
    pub(super) fn make_certificates(&self) -> Result<()> {
        let pki = self.pki().display().to_string();
        let certs =
            |words: &[&str]| read(Command::new(&self.program).arg("certs").args(words)).map(drop);
        certs(&["init", "--dir", &pki])?;
        for host in own() {
            let address = self.subnet.address(host).to_string();
            // So that a command on the host itself reaches it as well.
            let names = ["--name", host.name, "--ip", &address, "--ip", "127.0.0.1"];
            let roles: &[&str] = match host.kind {
                Kind::Node(role) => &["--roles", role],
                Kind::Etcd | Kind::Postgres | Kind::Provider => &[],
            };
            certs(&[&["issue", "--dir", &pki, "node"], &names[..], roles].concat())?;
        }
        for client in ETCD_USERS.iter().chain(&[ADMIN]) {
            certs(&["issue", "--dir", &pki, "client", "--name", client])?;
        }
        // Whoever called `sudo` is to use it.
        let caller = User::caller()?;
        let (certificate, key) = self.administrator();
        [certificate, key, self.authority()].iter().try_for_each(|path| give(path, caller))
    }

    /// Writes the configurations of all hosts, and what tells where they are.
    pub(super) fn configure(&self) -> Result<()> {
        for host in HOSTS {
            let file = match host.kind {
                Kind::Etcd => "etcd.yml",
                Kind::Node(_) => "nuncio.toml",
                Kind::Provider => "provider.toml",
                Kind::Postgres => continue,
            };
            self.fill(host, file)?;
        }
        self.fill(known("provider"), "smtp.toml")?;
        let mut lines: BTreeMap<String, String> =
            HOSTS.iter().map(|host| (host.key(), self.subnet.address(host).to_string())).collect();
        let (certificate, key) = self.administrator();
        let shown = |path: &Path| path.display().to_string();
        lines.extend([
            ("FOLDER".to_owned(), shown(&self.folder)),
            ("CA_FILE".to_owned(), shown(&self.authority())),
            ("ADMIN_CERT_FILE".to_owned(), shown(&certificate)),
            ("ADMIN_KEY_FILE".to_owned(), shown(&key)),
        ]);
        let lines: Vec<_> = lines.iter().map(|(key, value)| format!("{key}={value}")).collect();
        write(&self.folder.join(ENV_FILE), &(lines.join("\n") + "\n"))
    }

    /// A PostgreSQL that serves TLS on its host: an empty one, or a standby of `primary`.
    pub(super) fn make_database(&self, host: &Host, primary: Option<&Host>) -> Result<Server> {
        let folder = self.host_folder(host);
        let addresses =
            [host, primary.unwrap_or(host)].map(|host| self.subnet.address(host).to_string());
        let [account, of_primary] = addresses.each_ref().map(|address| self.account(address));
        let user = User::named("postgres")?;
        give(&folder, user)?;
        let mut server = match primary {
            None => Server::initialize(&folder, &account)?,
            Some(_primary) => Server::standby(&folder, &account, &of_primary)?,
        };
        let hba = folder.join("pg_hba.conf");
        write(&hba, HBA)?;
        give(&hba, user)?;
        server.args.extend(["-c", "ssl=on", "-c"].map(Into::into));
        server.args.push(format!("hba_file={}", hba.display()).into());
        let (certificate, key) = self.identity(host.name);
        for (setting, file) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
            // Its own, as it wants it.
            let copy = folder.join(setting);
            fs::copy(&file, &copy).context(format_args!("cannot copy {}", file.display()))?;
            give(&copy, user)?;
            server.args.extend(["-c".into(), format!("{setting}={}", copy.display()).into()]);
        }
        Ok(server)
    }

    /// Has a database carry out a statement, and returns the values.
    pub(super) fn ask_database(&self, host: &Host, sql: &str) -> Result<String> {
        let address = self.subnet.address(host).to_string();
        read(&mut self.account(&address).statement(sql)?)
    }

    fn account<'a>(&'a self, address: &'a str) -> Account<'a> {
        Account { address, port: POSTGRES_PORT, user: DATABASE, password: &self.password }
    }

    /// Whom `etcdctl` asks.
    pub(super) fn etcd(&self) -> Root {
        let (certificate, key) = self.identity(ROOT);
        Root {
            endpoints: self.etcd_endpoints().join(","),
            ca_file: self.authority().display().to_string(),
            cert_file: certificate.display().to_string(),
            key_file: key.display().to_string(),
        }
    }

    /// The address of the database, password included.
    pub(super) fn store_url(&self) -> String {
        let hosts: Vec<_> = databases()
            .map(|host| format!("{}:{POSTGRES_PORT}", self.subnet.address(host)))
            .collect();
        format!(
            "postgres://{DATABASE}:{}@{}/postgres?sslmode=verify-full&sslrootcert={}",
            self.password,
            hosts.join(","),
            self.authority().display()
        )
    }

    fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// The certificate of the authority.
    pub(super) fn authority(&self) -> PathBuf {
        self.pki().join("ca.pem")
    }

    /// Certificate and private key of a host or a client.
    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        let file = |ending: &str| self.pki().join(format!("{name}.{ending}"));
        (file("pem"), file("key"))
    }

    /// Those of whoever may do everything in all nodes.
    pub(super) fn administrator(&self) -> (PathBuf, PathBuf) {
        self.identity(ADMIN)
    }

    pub(super) fn host_folder(&self, host: &Host) -> PathBuf {
        self.folder.join(host.name)
    }

    fn etcd_endpoints(&self) -> Vec<String> {
        let client_url = |host| format!("https://{}:{ETCD_PORT}", self.subnet.address(host));
        members_of_etcd().map(client_url).collect()
    }

    fn fill(&self, host: &Host, file: &str) -> Result<()> {
        let members = members_of_etcd().map(|host| {
            format!("{}=https://{}:{ETCD_PEER_PORT}", host.name, self.subnet.address(host))
        });
        let quoted =
            self.etcd_endpoints().iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>();
        let role = match host.kind {
            Kind::Node(role) => role,
            Kind::Etcd | Kind::Postgres | Kind::Provider => "",
        };
        let cluster = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let values = [
            ("ADDRESS", self.subnet.address(host).to_string()),
            ("CLUSTER", cluster),
            ("ETCD_ENDPOINTS", quoted.join(", ")),
            ("ETCD_MEMBERS", members.collect::<Vec<_>>().join(",")),
            ("ETCD_PEER_PORT", ETCD_PEER_PORT.to_string()),
            ("ETCD_PORT", ETCD_PORT.to_string()),
            ("FOLDER", self.host_folder(host).display().to_string()),
            ("GRPC_PORT", GRPC_PORT.to_string()),
            ("HTTP_PORT", HTTP_PORT.to_string()),
            ("NAME", host.name.to_owned()),
            ("PKI", self.pki().display().to_string()),
            ("ROLE", role.to_owned()),
        ];
        let source = root().join("deploy/local").join(file);
        let text = fs::read_to_string(&source)
            .context(format_args!("cannot read {}", source.display()))?;
        let filled =
            template::fill(&text, values.iter().map(|(key, value)| (*key, value.as_str())))?;
        write(&self.host_folder(host).join(file), &filled)
    }
}

/// Open to everybody, whatever the umask: the database runs as a user of its own.
fn open_folder(path: &Path) -> Result<()> {
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .context(format_args!("cannot create {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o644)))
        .context(format_args!("cannot write {}", path.display()))
}

fn give(path: &Path, User { uid, gid }: User) -> Result<()> {
    chown(path, Some(uid), Some(gid)).context(format_args!("cannot give away {}", path.display()))
}
