//! The flags of `nuncio serve`. Their help is the reference of the settings.

use std::path::PathBuf;

use nuncio_core::secret::Password;

/// Flags win over `NUNCIO_*` variables, those over the file.
///
/// Values are texts here: they are checked with those of the other sources, so that one start shows all
/// problems.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ServeArgs {
    #[arg(
        long,
        value_name = "FILE",
        help = "Configuration file in TOML; none is read unless it is named [env: NUNCIO_CONFIG]"
    )]
    pub config: Option<PathBuf>,

    #[arg(long, help = "Check the configuration and exit; 0 means that it is valid")]
    pub check_config: bool,

    #[arg(
        long,
        value_name = "DIR",
        help = "Folder of jobs, settings and keys, made on the first start [default: ./nuncio-data] \
                [env: NUNCIO_DATA_DIR] [file: data_dir]"
    )]
    pub data_dir: Option<String>,

    #[arg(
        long,
        value_name = "URL",
        help = "PostgreSQL database in which several nodes keep their jobs together, such as \
                postgres://user:password@host/database?sslmode=verify-full; better given in the environment, \
                as everybody sees flags [default: a file in the data folder] [env: NUNCIO_STORE_URL] \
                [file: store.url]"
    )]
    pub store_url: Option<Password>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Keys that encrypt settings and mails; nodes that share a database share this file. It is made if \
                it is not there [default: keys/settings.key in the data folder] [env: NUNCIO_KEYS_FILE] \
                [file: keys.file]"
    )]
    pub keys_file: Option<String>,

    #[arg(
        long,
        value_name = "URLS",
        help = "etcd in which the nodes of a cluster share their settings, separated by commas, such as \
                https://etcd-1:2379,https://etcd-2:2379; http is for loopback addresses only [default: none, the \
                settings are in the data folder] [env: NUNCIO_ETCD_ENDPOINTS] [file: etcd.endpoints]"
    )]
    pub etcd_endpoints: Option<String>,

    #[arg(
        long,
        value_name = "PREFIX",
        help = "What the keys of this cluster begin with in etcd [default: /nuncio/] [env: NUNCIO_ETCD_PREFIX] \
                [file: etcd.prefix]"
    )]
    pub etcd_prefix: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Certificate authorities of etcd in PEM, trusted beside those of the system \
                [default: none] [env: NUNCIO_ETCD_CA_FILE] [file: etcd.ca_file]"
    )]
    pub etcd_ca_file: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Client certificate for etcd in PEM; its common name is the user of etcd \
                [default: none] [env: NUNCIO_ETCD_CERT_FILE] [file: etcd.cert_file]"
    )]
    pub etcd_cert_file: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Private key of that certificate in PEM [default: none] \
                [env: NUNCIO_ETCD_KEY_FILE] [file: etcd.key_file]"
    )]
    pub etcd_key_file: Option<String>,

    #[arg(
        long,
        value_name = "ROLES",
        help = "Roles of this node, separated by commas: pan (settings), mnt (alarms), psn (takes and \
                sends mail) [default: pan,mnt,psn] [env: NUNCIO_ROLES] [file: roles]"
    )]
    pub roles: Option<String>,

    #[arg(
        long,
        value_name = "NAME",
        help = "Name of this node in lists, logs and traces [default: the host name] \
                [env: NUNCIO_NODE_NAME] [file: node.name]"
    )]
    pub node_name: Option<String>,

    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        help = "Where gRPC is served: a loopback address unless there is a certificate or --grpc-insecure is given \
                [default: 127.0.0.1:7587] [env: NUNCIO_GRPC_LISTEN] [file: grpc.listen]"
    )]
    pub grpc_listen: Option<String>,

    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help = "Serve gRPC on any address, without encryption and authentication: only behind something \
                that protects it [default: false] [env: NUNCIO_GRPC_INSECURE] [file: grpc.insecure]"
    )]
    pub grpc_insecure: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Certificate of this node in PEM, then those above it: gRPC is then served by TLS. It is also shown to \
                other nodes. The files of TLS are read again when they change [default: none] \
                [env: NUNCIO_GRPC_TLS_CERT_FILE] [file: grpc.tls.cert_file]"
    )]
    pub grpc_tls_cert_file: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Private key of that certificate in PEM, without a passphrase [default: none] \
                [env: NUNCIO_GRPC_TLS_KEY_FILE] [file: grpc.tls.key_file]"
    )]
    pub grpc_tls_key_file: Option<String>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Certificate authorities in PEM that sign the certificates of clients and of the other nodes \
                [default: none, clients show no certificate] [env: NUNCIO_GRPC_TLS_CLIENT_CA_FILE] \
                [file: grpc.tls.client_ca_file]"
    )]
    pub grpc_tls_client_ca_file: Option<String>,

    #[arg(
        long,
        value_name = "NAMES",
        help = "Names of clients that may do everything, separated by commas: those in their certificates, \
                spiffe://…/nuncio/client/NAME. The other callers are made by `nuncio callers create` [default: none] \
                [env: NUNCIO_GRPC_ADMINISTRATORS] [file: grpc.administrators]"
    )]
    pub grpc_administrators: Option<String>,

    #[arg(
        long,
        value_name = "HOST:PORT",
        help = "Where the other nodes of a store reach the gRPC of this one [default: the address of \
                --grpc-listen, or the host name with its port where that is every address] \
                [env: NUNCIO_GRPC_ADVERTISE] [file: grpc.advertise]"
    )]
    pub grpc_advertise: Option<String>,

    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        help = "Where health checks and metrics are served, in plain HTTP; they hold no secret \
                [default: 127.0.0.1:7588] [env: NUNCIO_HTTP_LISTEN] [file: http.listen]"
    )]
    pub http_listen: Option<String>,

    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        help = "Where the page behind approval links is served, in plain HTTP: put something before it that \
                speaks TLS [default: not served] [env: NUNCIO_PORTAL_LISTEN] [file: portal.listen]"
    )]
    pub portal_listen: Option<String>,

    #[arg(
        long,
        value_name = "URL",
        help = "What approval links begin with, as approvers reach the page: https, or http on a loopback address \
                [default: the address of --portal-listen] [env: NUNCIO_PORTAL_PUBLIC_URL] \
                [file: portal.public_url]"
    )]
    pub portal_public_url: Option<String>,

    #[arg(
        long,
        value_name = "FORMAT",
        help = "Log on standard error for people (human) or for programs (json) [default: human] \
                [env: NUNCIO_LOG_FORMAT] [file: log.format]"
    )]
    pub log_format: Option<String>,

    #[arg(
        long,
        value_name = "FILTER",
        help = "What is logged: a level, and levels of modules, such as info,nuncio_smtp=debug \
                [default: info] [env: NUNCIO_LOG_FILTER] [file: log.filter]"
    )]
    pub log_filter: Option<String>,

    #[arg(
        long,
        value_name = "URL",
        help = "Collector that gets traces by OTLP over gRPC, such as http://127.0.0.1:4317 \
                [default: none] [env: NUNCIO_TELEMETRY_OTLP_ENDPOINT] [file: telemetry.otlp_endpoint]"
    )]
    pub telemetry_otlp_endpoint: Option<String>,

    #[arg(
        long,
        value_name = "DAYS",
        help = "How many days ended jobs are kept, 1 to 3650 [default: 30] \
                [env: NUNCIO_DELIVERY_RETENTION_DAYS] [file: delivery.retention_days]"
    )]
    pub delivery_retention_days: Option<String>,

    #[arg(
        long,
        value_name = "SECONDS",
        help = "How many seconds a stopping node may finish what it began, 1 to 600 [default: 20] \
                [env: NUNCIO_DELIVERY_DRAIN_TIMEOUT_S] [file: delivery.drain_timeout_s]"
    )]
    pub delivery_drain_timeout_s: Option<String>,

    #[arg(
        long,
        value_name = "SECONDS",
        help = "How many seconds a node that has died keeps its jobs from other nodes, 1 to 3600 [default: 60] \
                [env: NUNCIO_DELIVERY_LEASE_S] [file: delivery.lease_s]"
    )]
    pub delivery_lease_s: Option<String>,

    #[arg(
        long,
        value_name = "URL",
        help = "gRPC address of the MnT to which this node takes its alarms, such as https://mnt:7587 \
                [default: this node, if it has the role mnt, else those of its store] [env: NUNCIO_PEERS_MNT] [file: peers.mnt]"
    )]
    pub peers_mnt: Option<String>,
}
