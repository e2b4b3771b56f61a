//! Where roles tell alarms to.

use async_trait::async_trait;

use crate::alarm::{AlarmIdentity, RaisedAlarm};
use crate::ports::job_store::StoreError;

/// Takes alarms of this node for the MnT that is active.
///
/// When it returns Ok the alarm is on disk, here or there; if no MnT can be reached it is kept and told
/// later, once. An alarm that is raised again while it stands is one alarm.
#[async_trait]
pub trait AlarmSink: Send + Sync {
    async fn raise(&self, alarm: RaisedAlarm) -> Result<(), StoreError>;

    /// What the alarm told is over; an alarm that nobody raised is no error.
    async fn clear(&self, alarm: AlarmIdentity) -> Result<(), StoreError>;
}
