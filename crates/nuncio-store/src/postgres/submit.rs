//! Submits: many jobs at once, a few rows each.

use std::collections::{HashMap, HashSet};

use nuncio_core::job::{MailJobId, RequestKey};
use nuncio_core::mail::Attachment;
use nuncio_core::trace::TraceParent;
use sqlx::Error;

use crate::postgres::engine::Transaction;
use crate::postgres::text::storable;
use crate::rows::{self, unreadable};
use crate::write::submit::{Known, KnownRow, RequestName, Submit, known_from};

pub(super) async fn submit(
    tx: &mut Transaction<'_>,
    submits: &[&Submit],
) -> sqlx::Result<HashMap<RequestName, Known>> {
    let known = claim_requests(tx, submits).await?;
    let new = submits.iter().copied().filter(|submit| submit.is_new(&known));
    insert(tx, &new.collect::<Vec<_>>()).await?;
    Ok(known)
}

/// Claims the request ids for these jobs, and gives those that others had before.
///
/// Whoever claims the same one at the same time waits here until it is known who gets it. They are claimed in
/// their order, so that two nodes do not wait for each other.
async fn claim_requests(
    tx: &mut Transaction<'_>,
    ops: &[&Submit],
) -> sqlx::Result<HashMap<RequestName, Known>> {
    let mut keyed: Vec<_> =
        ops.iter().filter_map(|op| op.request.as_ref().map(|key| (key, op.job.id))).collect();
    if keyed.is_empty() {
        return Ok(HashMap::new());
    }
    keyed.sort_by(|(a, _), (b, _)| (&a.caller.0, &a.request_id).cmp(&(&b.caller.0, &b.request_id)));
    let callers: Vec<_> = keyed.iter().map(|(key, _)| key.caller.0.as_str()).collect();
    let request_ids: Vec<_> = keyed.iter().map(|(key, _)| key.request_id.as_str()).collect();
    let sql = "INSERT INTO request_keys (caller, request_id, fingerprint, job) \
               SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BYTEA[], $4::BYTEA[]) \
               ON CONFLICT DO NOTHING RETURNING job";
    let claimed: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(&callers)
        .bind(&request_ids)
        .bind(keyed.iter().map(|(key, _)| key.fingerprint.as_slice()).collect::<Vec<_>>())
        .bind(keyed.iter().map(|(_, job)| rows::id_to(*job)).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await?;
    if claimed.len() == keyed.len() {
        return Ok(HashMap::new());
    }
    let claimed: HashSet<_> = claimed.into_iter().collect();
    let keys: Vec<_> = keyed.iter().map(|(key, _)| *key).collect();
    let mut found = stored_requests(tx, &keys).await?;
    found.retain(|row| !claimed.contains(&row.job));
    let known = known_from(found).map_err(unreadable)?;
    if known.len() + claimed.len() < keyed.len() {
        // Its job was pruned in between.
        return Err(Error::RowNotFound);
    }
    Ok(known)
}

/// The requests of these that were stored before.
pub(super) async fn requests(
    tx: &mut Transaction<'_>,
    keys: &[&RequestKey],
) -> sqlx::Result<HashMap<RequestName, Known>> {
    known_from(stored_requests(tx, keys).await?).map_err(unreadable)
}

async fn stored_requests(
    tx: &mut Transaction<'_>,
    keys: &[&RequestKey],
) -> sqlx::Result<Vec<KnownRow>> {
    let sql = "SELECT caller, request_id, fingerprint, job FROM request_keys \
               WHERE (caller, request_id) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";
    sqlx::query_as(sql)
        .bind(keys.iter().map(|key| key.caller.0.as_str()).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.request_id.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await
}

async fn insert(tx: &mut Transaction<'_>, new: &[&Submit]) -> sqlx::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    insert_jobs(tx, new).await?;
    let sql = "INSERT INTO mail_bodies (job, mail, sealed) \
               SELECT job, '', sealed FROM UNNEST($1::BYTEA[], $2::BYTEA[]) AS m (job, sealed)";
    sqlx::query(sql)
        .bind(new.iter().map(|submit| rows::id_to(submit.job.id)).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.mail.as_slice()).collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await?;
    for submit in new {
        for (place, file) in (0_i64..).zip(&submit.attachments) {
            insert_attachment(tx, submit.job.id, place, file).await?;
        }
        tx.pending.new_job(&submit.job);
    }
    Ok(())
}

async fn insert_jobs(tx: &mut Transaction<'_>, new: &[&Submit]) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_jobs (id, class, state, recipients, attempts, created_at_us, \
         updated_at_us, due_at_us, expires_at_us, message_id, labels, subject, template, trace_parent) \
         SELECT * FROM UNNEST($1::BYTEA[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::BIGINT[], \
         $6::BIGINT[], $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], \
         $13::TEXT[], $14::TEXT[])";
    let jobs = || new.iter().map(|submit| &submit.job);
    let traces = jobs().map(|job| job.trace.as_ref().map(TraceParent::as_str));
    sqlx::query(sql)
        .bind(jobs().map(|job| rows::id_to(job.id)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.class.name()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.state.name()).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.recipients.as_str()).collect::<Vec<_>>())
        .bind(jobs().map(|job| i64::from(job.attempts)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.created_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.updated_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.due_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.expires_at.as_microsecond()).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.message_id.as_str()).collect::<Vec<_>>())
        .bind(new.iter().map(|submit| submit.labels.as_str()).collect::<Vec<_>>())
        .bind(jobs().map(|job| storable(&job.subject)).collect::<Vec<_>>())
        .bind(jobs().map(|job| job.template.as_deref()).collect::<Vec<_>>())
        .bind(traces.collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await
        .map(drop)
}

async fn insert_attachment(
    tx: &mut Transaction<'_>,
    job: MailJobId,
    place: i64,
    file: &Attachment,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_attachments (job, place, file_name, content_type, content, sealed) \
               VALUES ($1, $2, $3, $4, $5, TRUE)";
    let insert = sqlx::query(sql).bind(rows::id_to(job)).bind(place);
    let insert = insert.bind(storable(&file.file_name)).bind(storable(&file.content_type));
    insert.bind(&file.content).execute(&mut *tx.connection).await.map(drop)
}
