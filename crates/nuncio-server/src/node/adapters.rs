//! What a node is built from: engines of the ports, and the roles over them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use nuncio_alarms::route_service::AlarmRoutes;
use nuncio_api::v1::alarm_route_service_server::AlarmRouteServiceServer;
use nuncio_api::v1::key_service_server::KeyServiceServer;
use nuncio_api::v1::log_level_service_server::LogLevelServiceServer;
use nuncio_api::v1::node_service_server::NodeServiceServer;
use nuncio_api::v1::settings_service_server::SettingsServiceServer;
use nuncio_cluster::embedded::load_keys;
use nuncio_cluster::etcd::EtcdCluster;
use nuncio_cluster::keyring::keys::Keys;
use nuncio_core::job::Job;
use nuncio_core::ports::alarms::AlarmSink;
use nuncio_core::ports::clock::{Clock, Entropy};
use nuncio_core::ports::job_store::Incarnation;
use nuncio_core::ports::mail::{NodeTesters, SmtpTester};
use nuncio_core::ports::sealed::SealedSettings;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::ports::token::TokenSource;
use nuncio_core::ports::trust::Authorities;
use nuncio_core::settings::document::SettingsDocument;
use nuncio_delivery::channel::Channels;
use nuncio_delivery::delivery::Delivery;
use nuncio_delivery::intake::Intake;
use nuncio_delivery::observer::DeliveryObserver;
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
use nuncio_runtime::clock::{SystemClock, SystemEntropy};
use nuncio_smtp::probe::SmtpProbe;
use nuncio_smtp::transport::SmtpTransport;
use nuncio_templates::share::TemplateShare;
use nuncio_tls::reader::X509Reader;
use tokio::sync::watch;
use tonic::service::RoutesBuilder;
use tracing::warn;

use crate::access::Access;
use crate::alarms::NodeAlarms;
use crate::config::Config;
use crate::grpc::Entrance;
use crate::grpc::certificates::{CertificateError, Certificates, Tls};
use crate::keys::service::KeyApi;
use crate::log_levels::LogControl;
use crate::log_levels::service::LogLevelApi;
use crate::metrics::Metrics;
use crate::node::others::settings_home;
use crate::node::settings::Settings;
use crate::node_service::Nodes;
use crate::settings_service::SettingsApi;
use crate::status::NodeStatus;
use crate::store::Store;
use crate::trust::{StoredAuthorities, TrustingTokens};

use crate::node::{FollowedLog, StartError};

/// What the roles get as ports.
pub(super) struct Adapters {
    /// What gRPC is served with; none means in the clear.
    pub(super) certificates: Option<Certificates>,
    /// By it this node knows its own calls. It lives as long as the process.
    pub(super) own_token: String,
    /// The clock of the machine.
    pub(super) machine: Arc<dyn Clock>,
    /// What all nodes of a store go by.
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) settings: Arc<dyn SettingsShare>,
    /// The same, and what has sealed them.
    pub(super) sealed_settings: Arc<dyn SealedSettings>,
    /// Where the settings are in etcd: what follows them.
    pub(super) etcd: Option<EtcdCluster>,
    pub(super) store: Store,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) smtp: Arc<SmtpTransport>,
    pub(super) tester: Arc<dyn SmtpTester>,
    /// The trust store.
    pub(super) authorities: Arc<dyn Authorities>,
    /// The keys of this node.
    pub(super) keys: Arc<Keys>,
    pub(super) incarnation: Incarnation,
    pub(super) elections: Elections,
    pub(super) templates: Arc<TemplateShare>,
    /// The jobs that the last run left half done, as they stand now.
    pub(super) rescued: Vec<Job>,
}

impl Adapters {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let certificates = certificates(config).await?;
        make_data_dir(&config.data_dir)?;
        let machine: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let keys = load_keys(&config.data_dir, config.keys_file.as_deref())?;
        // The store before the settings: its lock keeps a second node away from them too.
        let store = Store::open(config, Arc::<Keys>::clone(&keys)).await?;
        let clock = store.clock(&machine);
        let Settings { share: settings, sealed: sealed_settings, etcd } =
            Settings::open(config, &keys, (&store, &*clock, &*entropy)).await?;
        let incarnation = Incarnation(new_uuid(&*clock, &*entropy));
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

    pub(super) fn followed_log(&self, log: LogControl) -> FollowedLog {
        let levels = self.settings.document(SettingsDocument::LogLevels);
        FollowedLog { log, levels, clock: Arc::clone(&self.clock) }
    }

    pub(super) fn tls(&self) -> Option<watch::Receiver<Arc<Tls>>> {
        self.certificates.as_ref().map(Certificates::current)
    }

    /// Has this node tell people past the mail, too.
    pub(super) fn second_route(
        &self,
        alarms: &mut NodeAlarms,
        node: &str,
    ) -> AlarmRouteServiceServer<AlarmRoutes> {
        let kept = (self.store.records(), Arc::clone(&self.settings));
        let chance = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        alarms.second_route(node, kept, Arc::clone(&self.authorities), chance)
    }

    /// Who may call this node, and how.
    pub(super) fn entrance(&self, config: &Config, metrics: &Arc<Metrics>) -> Entrance {
        let document = self.settings.document(SettingsDocument::Callers);
        let own = (self.own_token.as_str(), config.node_name.as_str());
        let administrators = config.grpc_administrators.clone();
        let access = Access::new(document, administrators, own, Arc::clone(metrics));
        if self.certificates.is_some() && !access.has_administrator() {
            warn!("nobody may administer this node; name a client in `grpc.administrators`");
        }
        Entrance { tls: self.tls(), access: Arc::new(access) }
    }

    pub(super) fn status(
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
    pub(super) fn serve_everywhere(
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

    /// The alarms of this node; `observer` hears of everything that delivery does.
    pub(super) async fn alarms(
        &self,
        config: &Config,
        observer: Arc<dyn DeliveryObserver>,
    ) -> Result<NodeAlarms, StartError> {
        let chance = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        NodeAlarms::open(config, self.store.records(), chance, observer).await
    }

    pub(super) fn pan(
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
    pub(super) fn directory(&self) -> Directory {
        let settings = self.settings.document(SettingsDocument::Reminders);
        let follow_up = Arc::new(Reminding::new(settings));
        Directory { records: self.store.records(), follow_up }
    }

    /// How the roles of this node accept mails.
    pub(super) fn intake(&self, observer: &Arc<dyn DeliveryObserver>) -> Intake {
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
    pub(super) fn portal(&self, intake: Intake, public_url: Option<String>) -> Portal {
        Portal {
            intake,
            directory: self.directory(),
            settings: Arc::clone(&self.settings),
            senders: self.senders(),
            keys: Arc::<Keys>::clone(&self.keys),
            public_url,
        }
    }

    pub(super) fn log_levels(&self) -> LogLevelApi {
        let (settings, clock) = (Arc::clone(&self.settings), Arc::clone(&self.clock));
        LogLevelApi { settings, clock }
    }

    pub(super) fn senders(&self) -> Senders {
        Senders { records: self.store.records() }
    }

    pub(super) fn mnt(&self, intake: &Intake) -> Mnt {
        Mnt::new(MntPorts {
            records: self.store.records(),
            settings: Arc::clone(&self.settings),
            intake: intake.clone(),
            elections: self.elections.clone(),
        })
    }

    /// Sends the mails, whatever the roles of this node are.
    pub(super) fn delivery(
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
pub(super) async fn certificates(
    config: &Config,
) -> Result<Option<Certificates>, CertificateError> {
    let Some(files) = config.grpc_tls.clone() else { return Ok(None) };
    Certificates::open(files, Arc::new(SystemClock)).await.map(Some)
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

pub(super) fn new_uuid(clock: &dyn Clock, entropy: &dyn Entropy) -> String {
    let millis = u64::try_from(clock.now().as_millisecond()).unwrap_or_default();
    let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &entropy.id_bytes()).into_uuid();
    uuid.to_string()
}
