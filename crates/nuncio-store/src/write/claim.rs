//! Claims.

use std::collections::HashMap;

use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, MailJobId};
use nuncio_core::mail::Mail;
use nuncio_core::ports::job_store::{Claim, Claimed, Lease, StoreError};
use nuncio_core::ports::sealer::Sealer;

use crate::rows::{self, AttachmentRow, RowError, readable};
use crate::seal;
use crate::write::engine::{Engine, LeasedRow};
use crate::write::group::{Answer, Group, Lane, Op};

impl Op for Claim {
    type Out = Vec<LeasedRow>;
    type Refusal = StoreError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.claims
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for claim in ops {
            answers.push(Ok(engine.claim(claim).await?));
        }
        Ok(answers)
    }
}

/// The jobs whose mails have attachments.
pub(crate) fn with_attachments(leased: &[LeasedRow]) -> Vec<Vec<u8>> {
    leased.iter().filter(|row| row.has_attachments).map(|row| row.job.id.clone()).collect()
}

/// The jobs in the order of claims, but for those that cannot be read.
///
/// The writers have enough to do: this is the caller's work.
pub(crate) fn claimed(
    leased: Vec<LeasedRow>,
    mut attachments: HashMap<MailJobId, Vec<AttachmentRow>>,
    sealer: &dyn Sealer,
) -> Vec<Claimed> {
    let claimed = leased.into_iter().filter_map(|LeasedRow { job, fence, mail, .. }| {
        let id = job.id.clone();
        let job = readable(&id, Job::try_from(job))?;
        let files = attachments.remove(&job.id).unwrap_or_default();
        let mail = readable(&id, open(job.id, mail?, files, sealer))?;
        Some(Claimed { lease: Lease { job: job.id, fence }, job, mail })
    });
    let mut claimed: Vec<_> = claimed.collect();
    claimed.sort_by_key(|Claimed { job, .. }| (job.class, job.due_at, job.id));
    claimed
}

fn open(
    job: MailJobId,
    mail: Vec<u8>,
    files: Vec<AttachmentRow>,
    sealer: &dyn Sealer,
) -> Result<Mail, RowError> {
    let json = seal::open_mail(sealer, job, mail)?;
    let files = files.into_iter().map(|file| file.open(job, sealer));
    rows::mail_from(&json, files.collect::<Result<_, _>>()?)
}

/// The names of the classes, the most urgent first.
pub(crate) fn class_names() -> [&'static str; MailClass::ALL.len()] {
    MailClass::ALL.map(MailClass::name)
}
