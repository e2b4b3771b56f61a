//! The way to the provider.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::address::EmailAddress;
use crate::mail::Mail;
use crate::outcome::SendOutcome;
use crate::ports::job_store::{Incarnation, StoreError};
use crate::settings::{SavedSmtpSettings, SmtpSettings};
use crate::smtp_test::{NodeTest, StageResult};

/// Hands mails over to the provider.
#[async_trait]
pub trait MailTransport: Send + Sync {
    /// Hands one mail over as `mailbox`, which is one of the settings', on a kept connection of this mailbox
    /// where there is one. The settings' limit of connections is that of each mailbox.
    ///
    /// Awaits `gate` right before the first byte of the body; if the gate is shut, nothing is sent and
    /// the outcome is [`Abandoned`](SendOutcome::Abandoned). Every wait inside has a dead line.
    async fn send(
        &self,
        settings: &SavedSmtpSettings,
        mailbox: &EmailAddress,
        mail: &OutgoingMail,
        gate: &dyn BodyGate,
    ) -> SendOutcome;

    /// How many of the next mails of this mailbox would very likely leave at once: on a kept connection that
    /// takes commands and content in one write, so that [`send`](Self::send) awaits the gate before it asks the
    /// server anything. It holds for mails of up to 1 MiB to one recipient.
    ///
    /// A hint without promise, and cheap: the server may have closed the connection unseen.
    fn ready(&self, mailbox: &EmailAddress) -> usize;

    /// How many connections are open.
    fn connections(&self) -> usize;

    /// Closes the connections of a mailbox that are not in use, with QUIT.
    async fn close_idle(&self, mailbox: &EmailAddress);
}

/// Opens for the body of a mail, or stays shut.
#[async_trait]
pub trait BodyGate: Send + Sync {
    /// Whether the body may go out.
    async fn open(&self) -> bool;
}

/// A mail on its way.
#[derive(Clone, Debug)]
pub struct OutgoingMail {
    pub mail: Mail,
    /// With angle brackets.
    pub message_id: String,
    /// The moment for the `Date` header: when the job was accepted.
    pub date: Timestamp,
    /// The recipients of this attempt, in the order in which the outcome answers for them.
    pub recipients: Vec<EmailAddress>,
}

/// Tests settings from where this node stands.
#[async_trait]
pub trait SmtpTester: Send + Sync {
    /// Walks through the stages; sends each result to `stages` as soon as it is known.
    ///
    /// Nothing is cached, kept or sent to anybody: it ends with RSET and QUIT.
    async fn test(&self, settings: &SmtpSettings, stages: mpsc::Sender<StageResult>) -> NodeTest;
}

/// Tests settings from where other nodes stand.
#[async_trait]
pub trait NodeTesters: Send + Sync {
    /// The live nodes that use the same settings as this one, which is among them.
    async fn nodes(&self) -> Result<Vec<TestingNode>, StoreError>;

    /// As [`SmtpTester::test`], from this node. What keeps it from testing is told as the failed stage
    /// [`Node`](crate::smtp_test::StageKind::Node).
    async fn test(
        &self,
        node: &TestingNode,
        settings: &SmtpSettings,
        stages: mpsc::Sender<StageResult>,
    ) -> NodeTest;
}

/// A node from which settings can be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestingNode {
    pub incarnation: Incarnation,
    pub name: String,
    /// `host:port`; empty where it is not known.
    pub address: String,
}
