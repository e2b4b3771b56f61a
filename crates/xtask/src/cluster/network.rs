//! The network between the hosts: a bridge of this machine, and a network namespace for each host.
//!
//! This machine itself has the first address, so that it reaches all of them. A cut is made by the filter of one host, in
//! both directions: no packet passes, and nobody is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::hosts::{HOSTS, Host, Kind, Subnet, known, own};
use crate::command::{command, read, works};
use crate::environment::User;
use crate::failure::{Context, Failure, Result};

/// The filter of a host that is cut off from somebody. Each chain drops what is for or from one of the addresses.
const FILTER: &str = "nuncio";
/// The direction of packets, and which of their addresses is the other one's.
const CHAINS: [(&str, &str); 2] = [("input", "saddr"), ("output", "daddr")];
/// Where Linux lists the interfaces of this machine.
const INTERFACES: &str = "/sys/class/net";

/// A network that is removed when it is dropped, but for its processes.
pub(super) struct Network {
    pub(super) subnet: Subnet,
    cuts: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Network {
    /// Makes the first network that nobody else has made.
    pub(super) fn create() -> Result<Self> {
        for number in 0..=u8::MAX {
            let bridge = bridge(number);
            match ip(&["link", "add", &bridge, "type", "bridge"]) {
                Ok(()) => {
                    let network = Self { subnet: Subnet { number }, cuts: BTreeMap::new() };
                    network.fill()?;
                    return Ok(network);
                }
                Err(_failure) if Path::new(INTERFACES).join(&bridge).exists() => {}
                Err(failure) => {
                    return Err(failure).context(
                        "cannot make a network (root needs the rights to make network namespaces)",
                    );
                }
            }
        }
        Err(Failure::new("all networks of tests are taken; remove those of `ip netns list`"))
    }

    fn fill(&self) -> Result<()> {
        let bridge = bridge(self.subnet.number);
        for host in HOSTS {
            let address = format!("{}/24", self.subnet.address(host));
            if host.kind == Kind::Provider {
                ip(&["address", "add", &address, "dev", &bridge])?;
                ip(&["link", "set", &bridge, "up"])?;
                continue;
            }
            let namespace = self.namespace(host);
            let outer = self.link(host);
            let inside = |words: &[&str]| ip(&[&["-n", &namespace], words].concat());
            ip(&["netns", "add", &namespace])?;
            ip(&[
                "link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &namespace,
            ])?;
            ip(&["link", "set", &outer, "master", &bridge, "up"])?;
            inside(&["address", "add", &address, "dev", "eth0"])?;
            inside(&["link", "set", "eth0", "up"])?;
            inside(&["link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    /// A command that becomes `program` on `host`, and ends when the process does that starts it.
    pub(super) fn command(&self, host: &Host, user: Option<User>, program: &Path) -> Command {
        let namespace = format!("--net=/run/netns/{}", self.namespace(host));
        let words: &[&str] = match host.kind {
            Kind::Provider => &["setpriv"],
            Kind::Etcd | Kind::Postgres | Kind::Node(_) => &["nsenter", &namespace, "setpriv"],
        };
        let mut inside = command(Path::new("/"), words);
        inside.args(["--pdeathsig", "KILL"]);
        if let Some(User { uid, gid }) = user {
            inside.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string()]);
            inside.arg("--clear-groups");
        }
        inside.arg(program);
        inside
    }

    /// From now on no packet passes between them.
    pub(super) fn cut(&mut self, host: &'static Host, others: &[&'static Host]) -> Result<()> {
        if !self.cuts.contains_key(host.name) {
            self.filter(host, &format!("add table inet {FILTER}"))?;
            for (chain, address) in CHAINS {
                let hook = format!("{{ type filter hook {chain} priority 0; }}");
                self.filter(host, &format!("add chain inet {FILTER} {chain} {hook}"))?;
                let set = "{ type ipv4_addr; }";
                self.filter(host, &format!("add set inet {FILTER} {address} {set}"))?;
                let rule = format!("ip {address} @{address} drop");
                self.filter(host, &format!("add rule inet {FILTER} {chain} {rule}"))?;
            }
        }
        for other in others {
            for (_chain, address) in CHAINS {
                let element = format!("{{ {} }}", self.subnet.address(other));
                self.filter(host, &format!("add element inet {FILTER} {address} {element}"))?;
            }
            self.cuts.entry(host.name).or_default().insert(other.name);
        }
        Ok(())
    }

    /// All packets pass again.
    pub(super) fn heal(&mut self) -> Result<()> {
        while let Some(name) = self.cuts.keys().next() {
            let host = known(name);
            self.filter(host, &format!("delete table inet {FILTER}"))?;
            self.cuts.remove(host.name);
        }
        Ok(())
    }

    /// Whom it was cut off from.
    pub(super) fn cuts(&self, host: &Host) -> Vec<&'static str> {
        self.cuts.get(host.name).into_iter().flatten().copied().collect()
    }

    /// The ids of all processes on hosts.
    pub(super) fn processes(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for host in own() {
            let words = ["ip", "netns", "pids", &self.namespace(host)];
            let pids = read(&mut command(Path::new("/"), &words))?;
            all.extend(pids.split_whitespace().map(str::to_owned));
        }
        Ok(all)
    }

    fn filter(&self, host: &Host, rule: &str) -> Result<()> {
        let words = ["ip", "netns", "exec", &self.namespace(host), "nft", rule];
        read(&mut command(Path::new("/"), &words)).map(drop)
    }

    /// The end of its cable at the bridge.
    fn link(&self, host: &Host) -> String {
        let part = self.subnet.address(host).octets()[3];
        format!("{}-{part}", bridge(self.subnet.number))
    }

    fn namespace(&self, host: &Host) -> String {
        format!("{}-{}", bridge(self.subnet.number), host.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let remove = |words: &[&str]| works(command(Path::new("/"), &["ip"]).args(words));
        for host in own() {
            // A namespace lives on with what its connections could not send, and would keep its link.
            remove(&["link", "delete", &self.link(host)]);
            remove(&["netns", "delete", &self.namespace(host)]);
        }
        remove(&["link", "delete", &bridge(self.subnet.number)]);
    }
}

/// Names of interfaces have at most fifteen characters.
fn bridge(number: u8) -> String {
    format!("nuncio{number}")
}

fn ip(words: &[&str]) -> Result<()> {
    read(command(Path::new("/"), &["ip"]).args(words)).map(drop)
}
