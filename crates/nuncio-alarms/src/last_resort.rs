//! Where an alarm goes that this node's disk has no room for: straight to the MnT, or to people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::alarm::route::{MessageKind, RouteMessage};
use nuncio_core::alarm::{AlarmIdentity, RaisedAlarm, Severity};
use nuncio_core::ports::clock::Entropy;
use nuncio_core::ports::records::RecordKey;
use tokio::time::timeout;

use crate::courier::Courier;
use crate::forwarder::{AlarmReceiver, Told};
use crate::outbox::{ALARM_OUTBOX, AlarmEvent, Waiting};

/// How long the MnT may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Tells of an alarm without writing anything. What it told is known until the node ends.
pub struct LastResort {
    pub receiver: Option<Arc<dyn AlarmReceiver>>,
    /// Only where the MnT is.
    pub courier: Option<Courier>,
    pub entropy: Arc<dyn Entropy>,
    /// The alarms that people were told of past the MnT.
    pub told: BTreeSet<AlarmIdentity>,
}

impl LastResort {
    /// Whether the MnT has taken the alarm. Otherwise people are told, once, and the alarm is still to be written.
    pub(crate) async fn tell(&mut self, alarm: &RaisedAlarm) -> bool {
        if self.is_taken(alarm).await {
            return true;
        }
        if let Some(courier) = &self.courier
            && self.told.insert(alarm.identity.clone())
        {
            let kind = MessageKind::AlarmRaised;
            let summary = alarm.description.clone();
            courier.tell_all(&message(&alarm.identity, kind, summary, alarm.raised_at)).await;
        }
        false
    }

    /// Tells people that it is over, if they were told of it.
    pub(crate) async fn over(&mut self, alarm: &AlarmIdentity, now: Timestamp) {
        if let Some(courier) = &self.courier
            && self.told.remove(alarm)
        {
            let summary = format!("{} is over", alarm.alarm_type);
            courier.tell_all(&message(alarm, MessageKind::AlarmResolved, summary, now)).await;
        }
    }

    async fn is_taken(&self, alarm: &RaisedAlarm) -> bool {
        let Some(receiver) = &self.receiver else { return false };
        let id = uuid::Builder::from_random_bytes(self.id_bytes()).into_uuid().to_string();
        let key = RecordKey::new(ALARM_OUTBOX, id.clone());
        let event =
            Waiting { key, request_id: id, event: AlarmEvent::Raised(alarm.clone()), trace: None };
        let told = timeout(DEADLINE, receiver.tell(&[event])).await;
        matches!(told, Ok(Ok(told)) if told.first() == Some(&Told::Taken))
    }

    fn id_bytes(&self) -> [u8; 16] {
        let (mut bytes, random) = ([0; 16], self.entropy.id_bytes());
        bytes[..random.len()].copy_from_slice(&random);
        bytes
    }
}

fn message(
    alarm: &AlarmIdentity,
    kind: MessageKind,
    summary: String,
    at: Timestamp,
) -> RouteMessage {
    let AlarmIdentity { alarm_type, node, labels } = alarm;
    let labels = labels.iter().map(|(name, value)| (format!("label_{name}"), value.clone()));
    let mut fields: BTreeMap<String, String> = labels.collect();
    fields.insert("type".to_owned(), alarm_type.clone());
    fields.insert("node".to_owned(), node.clone());
    let id = format!("{}/{}/{}", alarm.fingerprint(), at.as_microsecond(), kind.name());
    RouteMessage { id, kind, at, severity: Severity::Critical, summary, fields }
}
