//! The role as a whole.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use nuncio_api::limits::MESSAGE_BYTES_MAX;
use nuncio_api::v1::alarm_service_server::AlarmServiceServer;
use nuncio_core::ports::records::RecordStore;
use nuncio_core::ports::settings::SettingsShare;
use nuncio_delivery::intake::Intake;
use nuncio_nodes::election::{Elections, Leadership};
use nuncio_nodes::fenced::FencedRecords;
use nuncio_nodes::lease::Duty;
use nuncio_runtime::tasks::{TaskError, Tasks};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use crate::intake::{AlarmIntake, IntakeWriter, intake};
use crate::late::LateMails;
use crate::mails::Mails;
use crate::notifier::Notifier;
use crate::recipients::Administrators;
use crate::rounds::Rounds;
use crate::rules::Rules;
use crate::service::AlarmApi;

/// How long the parts may end what they do after the role was told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What the role needs. It builds none of it, so a test can bring its own.
pub struct MntPorts {
    pub records: Arc<dyn RecordStore>,
    pub settings: Arc<dyn SettingsShare>,
    /// How mails are made; its clock and dice are those of the role.
    pub intake: Intake,
    /// Of the nodes with this role and store one is the active MnT; all of them take alarms.
    pub elections: Elections,
}

/// The role.
pub struct Mnt {
    alarms: AlarmIntake,
    writer: IntakeWriter,
    rounds: Rounds,
    elections: Elections,
}

impl Mnt {
    pub fn new(ports: MntPorts) -> Self {
        let MntPorts { records, settings, intake: mails, elections } = ports;
        let (clock, entropy) = (Arc::clone(&mails.clock), Arc::clone(&mails.entropy));
        let rules = Rules::new(settings);
        let (alarms, writer) = intake(Arc::clone(&records), Arc::clone(&clock), rules.clone());
        let mails = Mails { intake: mails };
        let administrators = Administrators::new(Arc::clone(&records));
        let rounds = Rounds { store: records, clock, entropy, rules, administrators, mails };
        Self { alarms, writer, rounds, elections }
    }

    /// Adds the role's services to a node's. Their streams end when `shutdown` is cancelled.
    pub fn register(&self, routes: &mut RoutesBuilder, shutdown: &CancellationToken) {
        let service = AlarmServiceServer::new(self.api(shutdown))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        routes.add_service(service);
    }

    pub(crate) fn api(&self, shutdown: &CancellationToken) -> AlarmApi {
        AlarmApi {
            alarms: self.alarms.clone(),
            rounds: self.rounds.clone(),
            shutdown: shutdown.clone(),
        }
    }

    /// Runs the role until `shutdown` is cancelled or one of its parts fails: it takes alarms, and tells of them while
    /// this node is the active MnT.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), TaskError> {
        let Self { alarms, writer, rounds, elections } = self;
        let mut tasks = Tasks::new(&shutdown);
        tasks.spawn("alarm intake", |stop| writer.run(stop));
        tasks.spawn("alarm notifier", |stop| async move {
            let lead = async |leadership: Leadership| {
                notifier(&rounds, alarms.clone(), &leadership).run(leadership.over().clone()).await;
                Duration::ZERO
            };
            elections.lead(Duty::Mnt, stop, lead).await;
            Ok::<(), Infallible>(())
        });
        tasks.join(GRACE).await
    }
}

/// Who tells people for one term.
fn notifier(rounds: &Rounds, alarms: AlarmIntake, leadership: &Leadership) -> Notifier {
    let mut rounds = rounds.clone();
    rounds.store = FencedRecords::over(rounds.store, leadership);
    let late = LateMails {
        store: Arc::clone(&rounds.store),
        jobs: Arc::clone(&rounds.mails.intake.store),
        clock: Arc::clone(&rounds.clock),
        rules: rounds.rules.clone(),
        alarms,
    };
    Notifier { rounds, late }
}
