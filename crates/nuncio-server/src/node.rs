//! A node: the only place that sees roles *and* adapters.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::v1::alarm_route_service_server::SERVICE_NAME as ALARM_ROUTE_SERVICE;
use nuncio_api::v1::alarm_service_server::SERVICE_NAME as ALARM_SERVICE;
use nuncio_api::v1::caller_service_server::SERVICE_NAME as CALLER_SERVICE;
use nuncio_api::v1::directory_service_server::SERVICE_NAME as DIRECTORY_SERVICE;
use nuncio_api::v1::guest_mail_settings_service_server::SERVICE_NAME as GUEST_MAIL_SERVICE;
use nuncio_api::v1::key_service_server::SERVICE_NAME as KEY_SERVICE;
use nuncio_api::v1::log_level_service_server::SERVICE_NAME as LOG_LEVEL_SERVICE;
use nuncio_api::v1::mail_job_service_server::SERVICE_NAME as MAIL_JOB_SERVICE;
use nuncio_api::v1::node_service_server::SERVICE_NAME as NODE_SERVICE;
use nuncio_api::v1::portal_service_server::SERVICE_NAME as PORTAL_SERVICE;
use nuncio_api::v1::reminder_service_server::SERVICE_NAME as REMINDER_SERVICE;
use nuncio_api::v1::settings_service_server::SERVICE_NAME as SETTINGS_SERVICE;
use nuncio_api::v1::smtp_settings_service_server::SERVICE_NAME as SMTP_SETTINGS_SERVICE;
use nuncio_api::v1::template_service_server::SERVICE_NAME as TEMPLATE_SERVICE;
use nuncio_api::v1::trust_store_service_server::SERVICE_NAME as TRUST_STORE_SERVICE;
use nuncio_cluster::etcd::EtcdCluster;
use nuncio_core::ports::clock::Clock;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_core::settings::document::SavedDocument;
use nuncio_delivery::channel::Channels;
use nuncio_delivery::delivery::Delivery;
use nuncio_delivery::observer::tell_ended;
use nuncio_mnt::mnt::Mnt;
use nuncio_nodes::membership::Membership;
use nuncio_pan::pan::Pan;
use nuncio_psn::psn::Psn;
use nuncio_runtime::tasks::{TaskError, Tasks};
use nuncio_smtp::transport::SmtpTransport;
use nuncio_templates::api::TemplateApi;
use nuncio_templates::share::TemplateShare;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tracing::{info, warn};

mod adapters;
mod keys;
mod others;
mod settings;

use crate::alarms::NodeAlarms;
use crate::config::{Config, Role};
use crate::grpc::GrpcServer;
use crate::grpc::certificates::{CertificateError, Certificates};
use crate::http::node_view::WatchedNode;
use crate::http::{HttpServer, run_page};
use crate::keys::follower::KeyFollower;
use crate::log_levels::LogControl;
use crate::metrics::Metrics;
use crate::node::adapters::{Adapters, certificates};
use crate::store::{OpenStoreError, Store};

/// What the node gives its parts beyond what they take themselves, so that they can name who is late.
const GRACE: Duration = Duration::from_secs(5);
/// How long the store may take for its last writes after that: a database may never answer them.
const STORE_GRACE: Duration = Duration::from_secs(5);

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
    #[error("the store cannot be asked for its id")]
    Identity(#[source] StoreError),
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
    /// Whether gRPC can be served with the certificate of the configuration, if it names one.
    pub async fn check_certificates(config: &Config) -> Result<(), StartError> {
        certificates(config).await?;
        Ok(())
    }

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
        let mut alarms = adapters.alarms(config, Arc::<Metrics>::clone(&metrics)).await?;
        let status = adapters.status(config, address, channels_seen, alarms.waiting());
        let membership = adapters.membership(&status).await;
        adapters.find_mnt(&mut alarms, config, address, &membership)?;
        tell_ended(&*metrics, &adapters.rescued);
        let streams = CancellationToken::new();

        let mut routes = RoutesBuilder::default();
        let mut services = vec![NODE_SERVICE, SETTINGS_SERVICE, LOG_LEVEL_SERVICE, KEY_SERVICE];
        adapters.serve_everywhere(&status, &membership, &mut routes);
        let has = |role| config.roles.contains(&role);
        let observer = alarms.observer();
        let intake = adapters.intake(&observer);
        let mnt = has(Role::Mnt).then(|| adapters.mnt(&intake));
        if let Some(mnt) = &mnt {
            mnt.register(&mut routes, &streams);
            routes.add_service(adapters.second_route(&mut alarms, &status.name));
            services.extend([ALARM_SERVICE, ALARM_ROUTE_SERVICE]);
        }
        let testers = adapters.testers(config, &membership);
        let pan = has(Role::Pan)
            .then(|| adapters.pan(testers, &intake, Arc::clone(&metrics) as _, alarms.sink()));
        if let Some(pan) = &pan {
            pan.register(&mut routes, &streams);
            services.extend([SMTP_SETTINGS_SERVICE, GUEST_MAIL_SERVICE, TRUST_STORE_SERVICE]);
            services.extend([DIRECTORY_SERVICE, REMINDER_SERVICE, CALLER_SERVICE]);
        }
        let portal = || adapters.portal(intake.clone(), public_url(config, &listeners));
        let psn = has(Role::Psn).then(|| Psn { portal: portal() });
        if let Some(psn) = &psn {
            psn.register(&mut routes, &streams);
            services.extend([MAIL_JOB_SERVICE, PORTAL_SERVICE]);
        }
        if has(Role::Pan) || has(Role::Psn) {
            let share = Arc::clone(&adapters.templates);
            TemplateApi { share, intake }.register(&mut routes);
            services.push(TEMPLATE_SERVICE);
        }
        let delivery = adapters.delivery(config, observer, channels);
        let log = log.map(|log| adapters.followed_log(log));
        Ok(Self {
            grpc: GrpcServer::new(routes, services, adapters.entrance(config, &metrics))?,
            followers: Followers {
                keys: adapters.followed_keys(&membership).await,
                etcd: adapters.etcd,
                certificates: adapters.certificates,
                log,
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
        if timeout(STORE_GRACE, self.store.close()).await.is_err() {
            warn!("the job store does not answer its last writes; it may have them or not");
        }
        info!("node has stopped");
        end
    }
}

/// What approval links begin with; none if nobody serves the page.
fn public_url(config: &Config, listeners: &Listeners) -> Option<String> {
    let own = || listeners.portal_address().map(|address| format!("http://{address}"));
    config.portal_public_url.as_ref().map(|url| url.as_str().to_owned()).or_else(own)
}
