//! Claims.

use jiff::Timestamp;
use nuncio_core::class::MailClass;
use nuncio_core::ports::job_store::Claim;

use crate::postgres::engine::Transaction;
use crate::rows::{self, job_columns, waiting};
use crate::write::claim::class_names;
use crate::write::engine::LeasedRow;

/// Whether a job's time to live is not over at `$2`.
///
/// The sum keeps the index for expiry out, as nothing follows from it about `expires_at_us` alone: beside millions of
/// ended jobs the statistics see next to none that wait, and the planner would read all of them by that index and sort
/// them, in place of the first ones by the index for claims.
macro_rules! alive {
    () => {
        "expires_at_us + 0 > $2"
    };
}

/// `$1` the classes, `$2` now.
pub(super) const DUE_CLASSES: &str = concat!(
    "SELECT name FROM UNNEST($1::TEXT[]) AS classes (name), LATERAL (SELECT 1 FROM mail_jobs WHERE ",
    waiting!(),
    " AND class = name AND due_at_us <= $2 AND ",
    alive!(),
    " ORDER BY due_at_us, id LIMIT 1) AS first"
);

/// `$1` the class, `$2` now, `$3` the limit, `$4` the holder, `$5` until when, `$6` whether into the body, `$7` the jobs to leave alone.
pub(super) const LEASE: &str = concat!(
    "WITH found AS MATERIALIZED (SELECT id AS job FROM mail_jobs WHERE ",
    waiting!(),
    " AND class = $1 AND due_at_us <= $2 AND ",
    alive!(),
    " AND id <> ALL($7) ORDER BY due_at_us, id LIMIT $3 FOR UPDATE SKIP LOCKED) \
     UPDATE mail_jobs SET state = 'SENDING', fence = fence + 1, body_entered = $6, \
     lease_holder = $4, lease_until_us = $5, updated_at_us = $2 \
     FROM found WHERE id = found.job RETURNING fence, \
     (SELECT COALESCE(b.sealed, convert_to(b.mail, 'UTF8')) FROM mail_bodies AS b \
     WHERE b.job = id) AS mail, \
     EXISTS (SELECT 1 FROM mail_attachments AS a WHERE a.job = id) AS has_attachments, ",
    job_columns!()
);

/// Class by class, so that only what is due is looked at.
pub(super) async fn claim(tx: &mut Transaction<'_>, claim: &Claim) -> sqlx::Result<Vec<LeasedRow>> {
    let (mut leased, mut patient) = (Vec::new(), 0);
    for class in due_classes(tx, claim.now).await? {
        let left = claim.left_for(class, count(&leased), patient);
        if left == 0 {
            continue;
        }
        let of_class = lease(tx, claim, class, left).await?;
        if class.is_patient() {
            patient += count(&of_class);
        }
        leased.extend(of_class);
    }
    Ok(leased)
}

fn count(leased: &[LeasedRow]) -> u32 {
    u32::try_from(leased.len()).expect("the limit is a u32")
}

/// The classes in which jobs may be claimed, the most urgent first.
async fn due_classes(tx: &mut Transaction<'_>, now: Timestamp) -> sqlx::Result<Vec<MailClass>> {
    let due = sqlx::query_scalar(DUE_CLASSES).bind(class_names()).bind(now.as_microsecond());
    let due: Vec<String> = due.fetch_all(&mut *tx.connection).await?;
    let is_due = |class: &MailClass| due.iter().any(|name| name == class.name());
    Ok(MailClass::ALL.into_iter().filter(is_due).collect())
}

/// Jobs that another node is claiming at the same time are skipped, not waited for.
async fn lease(
    tx: &mut Transaction<'_>,
    claim: &Claim,
    class: MailClass,
    limit: u32,
) -> sqlx::Result<Vec<LeasedRow>> {
    let lease = sqlx::query_as(LEASE).bind(class.name()).bind(claim.now.as_microsecond());
    let lease = lease.bind(i64::from(limit));
    let lease =
        lease.bind(&claim.holder.0).bind(claim.until.as_microsecond()).bind(claim.into_body);
    let lease = lease.bind(claim.except.iter().map(|id| rows::id_to(*id)).collect::<Vec<_>>());
    let leased: Vec<LeasedRow> = lease.fetch_all(&mut *tx.connection).await?;
    for row in &leased {
        tx.pending.row(&row.job);
    }
    Ok(leased)
}
