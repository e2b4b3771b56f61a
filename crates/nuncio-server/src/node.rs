//! A node: the only place that sees roles *and* adapters.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nuncio_alarms::route_service::AlarmRoutes;
use nuncio_api::v1::alarm_route_service_server::{
    AlarmRouteServiceServer, SERVICE_NAME as ALARM_ROUTE_SERVICE,
};
use nuncio_api::v1::alarm_service_server::SERVICE_NAME as ALARM_SERVICE;
use nuncio_api::v1::caller_service_server::SERVICE_NAME as CALLER_SERVICE;
use nuncio_api::v1::directory_service_server::SERVICE_NAME as DIRECTORY_SERVICE;
use nuncio_api::v1::guest_mail_settings_service_server::SERVICE_NAME as GUEST_MAIL_SERVICE;
use nuncio_api::v1::key_service_server::{KeyServiceServer, SERVICE_NAME as KEY_SERVICE};
use nuncio_api::v1::log_level_service_server::{
    LogLevelServiceServer, SERVICE_NAME as LOG_LEVEL_SERVICE,
};
use nuncio_api::v1::mail_job_service_server::SERVICE_NAME as MAIL_JOB_SERVICE;
use nuncio_api::v1::node_service_server::{NodeServiceServer, SERVICE_NAME as NODE_SERVICE};
use nuncio_api::v1::portal_service_server::SERVICE_NAME as PORTAL_SERVICE;
use nuncio_api::v1::reminder_service_server::SERVICE_NAME as REMINDER_SERVICE;
use nuncio_api::v1::settings_service_server::{
    SERVICE_NAME as SETTINGS_SERVICE, SettingsServiceServer,
};
use nuncio_api::v1::smtp_settings_service_server::SERVICE_NAME as SMTP_SETTINGS_SERVICE;
use nuncio_api::v1::template_service_server::SERVICE_NAME as TEMPLATE_SERVICE;
use nuncio_api::v1::trust_store_service_server::SERVICE_NAME as TRUST_STORE_SERVICE;
use nuncio_cluster::embedded::load_keys;
use nuncio_cluster::etcd::EtcdCluster;
use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::job::Job;
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::{Incarnation, StoreError};
use nuncio_core::ports::mail::{NodeTesters, SmtpTester};
use nuncio_core::ports::sealed::SealedSettings;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::ports::token::TokenSource;
use nuncio_core::ports::trust::Authorities;
use nuncio_core::settings::document::{SavedDocument, SettingsDocument};
use nuncio_delivery::channel::Channels;
use nuncio_delivery::delivery::Delivery;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::observer::{DeliveryObserver, tell_ended};
use nuncio_delivery::senders::Senders;
use nuncio_directory::directory::Directory;
use nuncio_mnt::mnt::{Mnt, MntPorts};
use nuncio_nodes::election::Elections;
use nuncio_nodes::membership::Membership;
use nuncio_oauth::cache::TokenCache;
use nuncio_pan::callers::token::new_token;
use nuncio_pan::pan::Pan;
use nuncio_pan::reminders::follow_up::Reminding;
use nuncio_pan::reminders::{ReminderObserver, Reminders};
use nuncio_pan::secret_watch::SecretWatch;
use nuncio_pan::trust_store::watch::TrustWatch;
use nuncio_psn::portal::Portal;
use nuncio_psn::psn::Psn;
use nuncio_runtime::clock::{SystemClock, SystemEntropy};
use nuncio_runtime::tasks::{TaskError, Tasks};
use nuncio_smtp::probe::SmtpProbe;
use nuncio_smtp::transport::SmtpTransport;
use nuncio_templates::api::TemplateApi;
use nuncio_templates::share::TemplateShare;
use nuncio_tls::reader::X509Reader;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tracing::{info, warn};

mod keys;
mod others;
mod settings;

use crate::access::Access;
use crate::alarms::NodeAlarms;
use crate::config::{Config, Role};
use crate::grpc::certificates::{CertificateError, Certificates, Tls};
use crate::grpc::{Entrance, GrpcServer};
use crate::http::node_view::WatchedNode;
use crate::http::{HttpServer, run_page};
use crate::keys::follower::KeyFollower;
use crate::keys::service::KeyApi;
use crate::log_levels::LogControl;
use crate::log_levels::service::LogLevelApi;
use crate::metrics::Metrics;
use crate::node::others::settings_home;
use crate::node::settings::Settings;
use crate::node_service::Nodes;
use crate::settings_service::SettingsApi;
use crate::status::NodeStatus;
use crate::store::{OpenStoreError, Store};
use crate::trust::{StoredAuthorities, TrustingTokens};

/// What the node gives its parts beyond what they take themselves, so that they can name who is late.
const GRACE: Duration = Duration::from_secs(5);

/// A node that is ready to run.
pub struct Node {
    listeners: Listeners,
    grpc: GrpcServer,
    http: HttpServer,
    mnt: Option<Mnt>,
    delivery: Delivery,
    alarms: NodeAlarms,
    pan: Option<Pan>,
    psn: Option<Psn>,
    smtp: Arc<SmtpTransport>,
    templates: Arc<TemplateShare>,
    membership: Membership,
    settings: Arc<dyn SettingsShare>,
    store: Store,
    streams: CancellationToken,
    drain_timeout: Duration,
    followers: Followers,
}

/// What follows something outside of this node, where there is something to follow.
struct Followers {
    /// The settings in etcd.
    etcd: Option<EtcdCluster>,
    /// The files of TLS.
    certificates: Option<Certificates>,
    /// The key file.
    keys: KeyFollower,
    /// The levels of the log in the settings.
    log: Option<FollowedLog>,
}

/// The log, and what its levels follow.
struct FollowedLog {
    log: LogControl,
    levels: watch::Receiver<Option<Arc<SavedDocument>>>,
    clock: Arc<dyn Clock>,
}

impl Followers {
    fn spawn(self, tasks: &mut Tasks) {
        if let Some(etcd) = self.etcd {
            tasks.spawn("settings", |stop| async move {
                etcd.run(stop).await;
                Ok::<(), io::Error>(())
            });
        }
        if let Some(FollowedLog { log, levels, clock }) = self.log {
            tasks.spawn("log levels", |stop| async move {
                log.follow(levels, clock, stop).await;
                Ok::<(), io::Error>(())
            });
        }
        let keys = self.keys;
        tasks.spawn("keys", |stop| keys.run(stop));
        if let Some(certificates) = self.certificates {
            tasks.spawn("certificates", |stop| certificates.run(stop));
        }
    }
}

/// The ports of a node. They are bound first, so that a node which cannot serve does no work.
pub struct Listeners {
    pub grpc: TcpListener,
    pub http: TcpListener,
    /// Of the page behind approval links.
    pub portal: Option<TcpListener>,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address} (`{key}`); is another nuncio running? choose another port or stop it"
    )]
    Bind { key: &'static str, address: SocketAddr, source: io::Error },
    #[error(
        "data folder `{path}` cannot be made or written; create it for this user or set `data_dir`"
    )]
    DataDir { path: String, source: io::Error },
    #[error("the settings cannot be opened")]
    Settings(#[from] nuncio_cluster::embedded::OpenError),
    #[error("the settings of the cluster cannot be opened")]
    Cluster(#[from] nuncio_cluster::etcd::OpenError),
    #[error("the job store cannot be opened")]
    Store(#[from] OpenStoreError),
    #[error("the jobs of the last run cannot be taken back")]
    Rescue(#[from] StoreError),
    #[error("the alarms of the last run cannot be read")]
    Outbox(#[source] StoreError),
    #[error("the MnT cannot be asked (`peers.mnt`)")]
    Mnt(#[from] nuncio_api::client::ConnectError),
    #[error("the portals' own templates cannot be read")]
    Templates(#[source] StoreError),
    #[error("gRPC cannot be served by TLS")]
    Certificates(#[from] CertificateError),
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Listeners {
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let bind = async |key, address| {
            let bound = TcpListener::bind(address).await;
            bound.map_err(|source| StartError::Bind { key, address, source })
        };
        Ok(Self {
            grpc: bind("grpc.listen", config.grpc_listen).await?,
            http: bind("http.listen", config.http_listen).await?,
            portal: match config.portal_listen {
                Some(address) => Some(bind("portal.listen", address).await?),
                None => None,
            },
        })
    }

    /// Where the page behind approval links is, if it is served.
    pub fn portal_address(&self) -> Option<SocketAddr> {
        self.portal.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// The addresses that were bound: a port 0 has become a real one.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.grpc.local_addr()?, self.http.local_addr()?))
    }
}

impl Node {
    /// Builds adapters, roles and listeners. Jobs that the last run left half done are taken back.
    ///
    /// `log`, if there is one, follows the levels in the settings.
    pub async fn build(
        config: &Config,
        listeners: Listeners,
        log: Option<LogControl>,
    ) -> Result<Self, StartError> {
        let adapters = Adapters::open(config).await?;
        let (channels, channels_seen) = watch::channel(Channels::default());
        let address = listeners.grpc.local_addr().unwrap_or(config.grpc_listen);
        let metrics = Arc::new(Metrics::new());
        let mut alarms = adapters.alarms(config, address, Arc::<Metrics>::clone(&metrics)).await?;
        let status = adapters.status(config, address, channels_seen, alarms.waiting());
        let membership = adapters.membership(&status).await;
        tell_ended(&*metrics, &adapters.rescued);
        let streams = CancellationToken::new();

        let mut routes = RoutesBuilder::default();
        let mut services = vec![NODE_SERVICE, SETTINGS_SERVICE, LOG_LEVEL_SERVICE, KEY_SERVICE];
        adapters.serve_everywhere(&status, &membership, &mut routes);
        let observer = alarms.observer();
        let intake = adapters.intake(&observer);
        let mnt = config.roles.contains(&Role::Mnt).then(|| adapters.mnt(&intake));
        if let Some(mnt) = &mnt {
            mnt.register(&mut routes, &streams);
            services.push(ALARM_SERVICE);
        }
        let testers = adapters.testers(config, &membership);
        let is_pan = config.roles.contains(&Role::Pan);
        let pan = is_pan
            .then(|| adapters.pan(testers, &intake, Arc::clone(&metrics) as _, alarms.sink()));
        if let Some(pan) = &pan {
            pan.register(&mut routes, &streams);
            services.extend([SMTP_SETTINGS_SERVICE, GUEST_MAIL_SERVICE, TRUST_STORE_SERVICE]);
            services.extend([DIRECTORY_SERVICE, REMINDER_SERVICE, CALLER_SERVICE]);
        }
        let portal = || adapters.portal(intake.clone(), public_url(config, &listeners));
        let psn = config.roles.contains(&Role::Psn).then(|| Psn { portal: portal() });
        if let Some(psn) = &psn {
            psn.register(&mut routes, &streams);
            services.extend([MAIL_JOB_SERVICE, PORTAL_SERVICE]);
        }
        if config.roles.contains(&Role::Pan) || config.roles.contains(&Role::Psn) {
            let share = Arc::clone(&adapters.templates);
            TemplateApi { share, intake }.register(&mut routes);
            services.push(TEMPLATE_SERVICE);
        }
        if config.roles.contains(&Role::Mnt) {
            routes.add_service(adapters.second_route(&mut alarms, &status.name));
            services.push(ALARM_ROUTE_SERVICE);
        }
        let delivery = adapters.delivery(config, observer, channels);
        let levels = adapters.settings.document(SettingsDocument::LogLevels);
        Ok(Self {
            grpc: GrpcServer::new(routes, services, adapters.entrance(config, &metrics))?,
            followers: Followers {
                keys: adapters.followed_keys(&membership).await,
                etcd: adapters.etcd,
                certificates: adapters.certificates,
                log: log.map(|log| FollowedLog { log, levels, clock: Arc::clone(&adapters.clock) }),
            },
            http: HttpServer::new(metrics, WatchedNode { status, membership: membership.clone() }),
            listeners,
            mnt,
            delivery,
            alarms,
            pan,
            psn,
            smtp: adapters.smtp,
            templates: adapters.templates,
            membership,
            settings: adapters.settings,
            store: adapters.store,
            streams,
            drain_timeout: config.drain_timeout,
        })
    }

    /// Runs until `shutdown` is cancelled or a part fails. Then it drains, bounded: `NOT_SERVING` and GOAWAY,
    /// no more claims, the mails under way end, and health is told to the last.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), TaskError> {
        let mut tasks = Tasks::new(&shutdown);
        let drained = CancellationToken::new();
        let working = Arc::new(drained.clone().drop_guard());
        let (grpc, http, streams) = (self.listeners.grpc, self.listeners.http, self.streams);
        let at_work = Arc::clone(&working);
        tasks.spawn("grpc", |stop| async move {
            let end_streams = async {
                stop.cancelled().await;
                streams.cancel();
            };
            let (served, ()) = tokio::join!(self.grpc.run(grpc, stop.clone()), end_streams);
            drop(at_work);
            served
        });
        if let Some(mnt) = self.mnt {
            let at_work = Arc::clone(&working);
            tasks.spawn("mnt", |stop| async move {
                let end = mnt.run(stop).await;
                drop(at_work);
                end
            });
        }
        let at_work = Arc::clone(&working);
        let delivery = self.delivery;
        tasks.spawn("delivery", |stop| async move {
            let end = delivery.run(stop).await;
            drop(at_work);
            end
        });
        self.alarms.spawn(&mut tasks);
        if let Some(pan) = self.pan {
            tasks.spawn("pan", |stop| pan.run(stop));
        }
        let (membership, smtp_settings) = (self.membership, self.settings.smtp());
        tasks.spawn("membership", |stop| membership.run(smtp_settings, stop));
        let templates = self.templates;
        tasks.spawn("templates", |stop| async move { templates.run(stop).await });
        if let Some(psn) = self.psn {
            if let Some(listener) = self.listeners.portal {
                let page = psn.approval_page();
                tasks.spawn("approval page", |stop| run_page(page, listener, stop));
            }
            tasks.spawn("portal", |stop| async move {
                psn.run(stop).await;
                Ok::<(), io::Error>(())
            });
        }
        self.followers.spawn(&mut tasks);
        let smtp = self.smtp;
        tasks.spawn("smtp connections", |stop| async move { smtp.run(stop).await });
        drop(working);
        tasks.spawn("http", |stop| self.http.draining_on(stop).run(http, drained));
        let end = tasks.join(self.drain_timeout + GRACE).await;
        self.store.close().await;
        info!("node has stopped");
        end
    }
}

/// What the roles get as ports.
struct Adapters {
    /// What gRPC is served with; none means in the clear.
    certificates: Option<Certificates>,
    /// By it this node knows its own calls. It lives as long as the process.
    own_token: String,
    /// The clock of the machine.
    machine: Arc<dyn Clock>,
    /// What all nodes of a store go by.
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: Arc<dyn SettingsShare>,
    /// The same, and what has sealed them.
    sealed_settings: Arc<dyn SealedSettings>,
    /// Where the settings are in etcd: what follows them.
    etcd: Option<EtcdCluster>,
    store: Store,
    tokens: Arc<dyn TokenSource>,
    smtp: Arc<SmtpTransport>,
    tester: Arc<dyn SmtpTester>,
    /// The trust store.
    authorities: Arc<dyn Authorities>,
    /// The keys of this node.
    keys: Arc<Keys>,
    incarnation: Incarnation,
    elections: Elections,
    templates: Arc<TemplateShare>,
    /// The jobs that the last run left half done, as they stand now.
    rescued: Vec<Job>,
}

impl Adapters {
    async fn open(config: &Config) -> Result<Self, StartError> {
        let certificates = certificates(config).await?;
        make_data_dir(&config.data_dir)?;
        let machine: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let keys = load_keys(&config.data_dir, config.keys_file.as_deref())?;
        // The store before the settings: its lock keeps a second node away from them too.
        let store = Store::open(config, Arc::<Keys>::clone(&keys)).await?;
        let clock = store.clock(&machine);
        let Settings { share: settings, sealed: sealed_settings, etcd } =
            Settings::open(config, &keys).await?;
        let incarnation = incarnation(&*clock, &*entropy);
        let rescued = store.take_back(&incarnation, clock.now()).await?;
        if !rescued.is_empty() {
            let jobs = rescued.len();
            warn!(jobs, "took back {jobs} mail jobs that the last run left half done");
        }
        let name = config.node_name.as_str();
        let elections = store.elections(&clock, &incarnation, name);
        // Tokens and mails are shown to others, who do not go by the database's time.
        let cache = TokenCache::new(Arc::clone(&machine), Arc::clone(&entropy));
        let trusted = settings.document(SettingsDocument::TrustStore);
        let authorities: Arc<dyn Authorities> = Arc::new(StoredAuthorities::new(trusted));
        let tokens: Arc<dyn TokenSource> =
            Arc::new(TrustingTokens { inner: cache, authorities: Arc::clone(&authorities) });
        let smtp = SmtpTransport::new(Arc::clone(&tokens), Arc::clone(&machine), name);
        let smtp = Arc::new(smtp.trusting(Arc::clone(&authorities)));
        let tester = SmtpProbe::new(Arc::clone(&tokens), name, name);
        let tester = Arc::new(tester.trusting(Arc::clone(&authorities)));
        let templates = Arc::new(TemplateShare::new(store.records(), Arc::clone(&clock)));
        // Before anything is served: a mail must not be made from the wrong texts.
        templates.refresh().await.map_err(StartError::Templates)?;
        Ok(Self {
            certificates,
            own_token: new_token(&*entropy),
            machine,
            clock,
            entropy,
            settings,
            sealed_settings,
            etcd,
            store,
            tokens,
            smtp,
            tester,
            authorities,
            keys,
            incarnation,
            elections,
            templates,
            rescued,
        })
    }

    fn tls(&self) -> Option<watch::Receiver<Arc<Tls>>> {
        self.certificates.as_ref().map(Certificates::current)
    }

    /// Has this node tell people past the mail, too.
    fn second_route(
        &self,
        alarms: &mut NodeAlarms,
        node: &str,
    ) -> AlarmRouteServiceServer<AlarmRoutes> {
        let kept = (self.store.records(), Arc::clone(&self.settings));
        let chance = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        alarms.second_route(node, kept, Arc::clone(&self.authorities), chance)
    }

    /// Who may call this node, and how.
    fn entrance(&self, config: &Config, metrics: &Arc<Metrics>) -> Entrance {
        let document = self.settings.document(SettingsDocument::Callers);
        let own = (self.own_token.as_str(), config.node_name.as_str());
        let administrators = config.grpc_administrators.clone();
        let access = Access::new(document, administrators, own, Arc::clone(metrics));
        if self.certificates.is_some() && !access.has_administrator() {
            warn!("nobody may administer this node; name a client in `grpc.administrators`");
        }
        Entrance { tls: self.tls(), access: Arc::new(access) }
    }

    fn status(
        &self,
        config: &Config,
        address: SocketAddr,
        channels: watch::Receiver<Channels>,
        waiting_alarms: watch::Receiver<usize>,
    ) -> NodeStatus {
        NodeStatus {
            name: config.node_name.as_str().to_owned(),
            roles: config.roles.clone(),
            address: config.grpc_advertise.address(address),
            settings_home: settings_home(config),
            started_at: self.clock.now(),
            machine: Arc::clone(&self.machine),
            has_shared_clock: self.store.is_shared(),
            clock: Arc::clone(&self.clock),
            store: self.store.port(),
            transport: Arc::<SmtpTransport>::clone(&self.smtp),
            tokens: Arc::clone(&self.tokens),
            settings: self.settings.smtp(),
            etcd: self.etcd.as_ref().map(EtcdCluster::state),
            channels,
            led: self.elections.led(),
            waiting_alarms,
            certificate: self.tls(),
            keys: Arc::clone(&self.keys),
            sealed_settings: Arc::clone(&self.sealed_settings),
        }
    }

    /// Adds what every node serves: how the nodes are, who has changed settings, what is logged.
    fn serve_everywhere(
        &self,
        status: &NodeStatus,
        membership: &Membership,
        routes: &mut RoutesBuilder,
    ) {
        let (status, tester) = (status.clone(), Arc::clone(&self.tester));
        let nodes = Nodes { status, membership: membership.clone(), tester };
        routes.add_service(NodeServiceServer::new(nodes));
        let settings = SettingsApi { settings: Arc::clone(&self.settings) };
        routes.add_service(SettingsServiceServer::new(settings));
        routes.add_service(LogLevelServiceServer::new(self.log_levels()));
        routes.add_service(KeyServiceServer::new(KeyApi(self.key_parts(membership))));
    }

    /// The way of this node's alarms; `observer` hears of everything that delivery does.
    async fn alarms(
        &self,
        config: &Config,
        address: SocketAddr,
        observer: Arc<dyn DeliveryObserver>,
    ) -> Result<NodeAlarms, StartError> {
        let chance = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let calls = self.certificates.as_ref().map(|tls| tls.calls(&self.own_token));
        let calls = calls.unwrap_or_default();
        NodeAlarms::open(config, (address, &calls), self.store.records(), chance, observer).await
    }

    fn pan(
        &self,
        testers: Arc<dyn NodeTesters>,
        intake: &Intake,
        observer: Arc<dyn ReminderObserver>,
        alarms: Arc<dyn AlarmSink>,
    ) -> Pan {
        Pan {
            secret_watch: SecretWatch {
                records: self.store.records(),
                settings: self.settings.smtp(),
                tokens: Arc::clone(&self.tokens),
                alarms: Arc::clone(&alarms),
                clock: Arc::clone(&self.clock),
                seen: watch::Sender::default(),
            },
            trust_watch: TrustWatch {
                records: self.store.records(),
                document: self.settings.document(SettingsDocument::TrustStore),
                reader: Arc::new(X509Reader),
                alarms,
                clock: Arc::clone(&self.clock),
            },
            reminders: Reminders {
                records: self.store.records(),
                intake: intake.clone(),
                settings: self.settings.document(SettingsDocument::Reminders),
                guest_mail: self.settings.document(SettingsDocument::GuestMail),
                observer,
            },
            settings: Arc::clone(&self.settings),
            testers,
            clock: Arc::clone(&self.clock),
            directory: self.directory(),
            elections: self.elections.clone(),
        }
    }

    /// Guests and users, and what follows from their changes.
    fn directory(&self) -> Directory {
        let settings = self.settings.document(SettingsDocument::Reminders);
        let follow_up = Arc::new(Reminding::new(settings));
        Directory { records: self.store.records(), follow_up }
    }

    /// How the roles of this node accept mails.
    fn intake(&self, observer: &Arc<dyn DeliveryObserver>) -> Intake {
        Intake {
            store: self.store.port(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer: Arc::clone(observer),
            settings: self.settings.smtp(),
            templates: self.templates.templates(),
        }
    }

    /// What portal mail needs.
    fn portal(&self, intake: Intake, public_url: Option<String>) -> Portal {
        Portal {
            intake,
            directory: self.directory(),
            settings: Arc::clone(&self.settings),
            senders: self.senders(),
            keys: Arc::<Keys>::clone(&self.keys),
            public_url,
        }
    }

    fn log_levels(&self) -> LogLevelApi {
        let (settings, clock) = (Arc::clone(&self.settings), Arc::clone(&self.clock));
        LogLevelApi { settings, clock }
    }

    fn senders(&self) -> Senders {
        Senders { records: self.store.records() }
    }

    fn mnt(&self, intake: &Intake) -> Mnt {
        Mnt::new(MntPorts {
            records: self.store.records(),
            settings: Arc::clone(&self.settings),
            intake: intake.clone(),
            elections: self.elections.clone(),
        })
    }

    /// Sends the mails, whatever the roles of this node are.
    fn delivery(
        &self,
        config: &Config,
        observer: Arc<dyn DeliveryObserver>,
        channels: watch::Sender<Channels>,
    ) -> Delivery {
        Delivery {
            store: self.store.port(),
            transport: Arc::<SmtpTransport>::clone(&self.smtp),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            observer,
            senders: self.senders(),
            settings: self.settings.smtp(),
            trusted: self.settings.document(SettingsDocument::TrustStore),
            channels,
            incarnation: self.incarnation.clone(),
            elections: self.elections.clone(),
            lease: config.lease,
            retention: config.retention,
            drain_timeout: config.drain_timeout,
        }
    }
}

/// The certificate of this node, if it serves TLS. It is the first to be read, as without it there is nothing to start for.
async fn certificates(config: &Config) -> Result<Option<Certificates>, CertificateError> {
    let Some(files) = config.grpc_tls.clone() else { return Ok(None) };
    Certificates::open(files, Arc::new(SystemClock)).await.map(Some)
}

/// What approval links begin with; none if nobody serves the page.
fn public_url(config: &Config, listeners: &Listeners) -> Option<String> {
    let own = || listeners.portal_address().map(|address| format!("http://{address}"));
    config.portal_public_url.as_ref().map(|url| url.as_str().to_owned()).or_else(own)
}

fn make_data_dir(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt as _;

    let failed = |source| StartError::DataDir { path: path.display().to_string(), source };
    if !path.is_dir() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    }
    // The store and the settings would fail too, but with less to say.
    let probe = path.join(".nuncio-write-test");
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(failed)
}

fn incarnation(clock: &dyn Clock, entropy: &dyn Entropy) -> Incarnation {
    let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &entropy.id_bytes()).into_uuid();
    Incarnation(uuid.to_string())
}
