//! Which hosts the cluster has, and what each of them is.

use std::net::Ipv4Addr;

/// gRPC, and health with metrics, of every node.
pub(super) const GRPC_PORT: u16 = 7587;
pub(super) const HTTP_PORT: u16 = 7588;
pub(super) const POSTGRES_PORT: &str = "5432";
pub(super) const ETCD_PORT: u16 = 2379;
pub(super) const ETCD_PEER_PORT: u16 = 2380;

/// What the hosts have in common: their network is the `number`th part of those that are set aside for tests of network
/// devices (RFC 2544, appendix C.2.2), which no route of a machine leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    pub(super) number: u8,
}

/// A host of the cluster: a network namespace with one address, and the process that runs in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The last part of its address.
    part: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Etcd,
    Postgres,
    /// A node of nuncio with this role.
    Node(&'static str),
    /// Whoever takes the mails. It is this machine itself and no host of its own: what listens there may be anything.
    Provider,
}

pub(super) const HOSTS: &[Host] = &[
    Host { name: "provider", kind: Kind::Provider, part: 1 },
    Host { name: "etcd-1", kind: Kind::Etcd, part: 11 },
    Host { name: "etcd-2", kind: Kind::Etcd, part: 12 },
    Host { name: "etcd-3", kind: Kind::Etcd, part: 13 },
    Host { name: "postgres-1", kind: Kind::Postgres, part: 21 },
    Host { name: "postgres-2", kind: Kind::Postgres, part: 22 },
    Host { name: "pan-1", kind: Kind::Node("pan"), part: 31 },
    Host { name: "pan-2", kind: Kind::Node("pan"), part: 32 },
    Host { name: "mnt-1", kind: Kind::Node("mnt"), part: 41 },
    Host { name: "mnt-2", kind: Kind::Node("mnt"), part: 42 },
    Host { name: "psn-1", kind: Kind::Node("psn"), part: 51 },
    Host { name: "psn-2", kind: Kind::Node("psn"), part: 52 },
];

/// Those that are hosts of their own.
pub(super) fn own() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().filter(|host| host.kind != Kind::Provider)
}

pub(super) fn members_of_etcd() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().filter(|host| host.kind == Kind::Etcd)
}

/// The servers of the database: a primary and a standby.
pub(super) fn databases() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().filter(|host| host.kind == Kind::Postgres)
}

pub(super) fn nodes() -> impl Iterator<Item = &'static Host> {
    HOSTS.iter().filter(|host| host.is_node())
}

/// One that this cluster has for sure.
pub(super) fn known(name: &str) -> &'static Host {
    Host::named(name).expect("it is one of them")
}

impl Host {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        HOSTS.iter().find(|host| host.name == name)
    }

    pub(super) fn is_node(&self) -> bool {
        matches!(self.kind, Kind::Node(_))
    }

    /// Its name as the key of a setting: `PSN_1`.
    pub(super) fn key(&self) -> String {
        self.name.to_uppercase().replace('-', "_")
    }
}

impl Subnet {
    pub(super) fn address(self, host: &Host) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.number, host.part)
    }
}
