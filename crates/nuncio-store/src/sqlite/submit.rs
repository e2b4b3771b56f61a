//! Submits: many jobs at once, a few rows each.

use std::collections::HashMap;

use nuncio_core::job::{MailJobId, RequestKey};
use nuncio_core::mail::Attachment;
use nuncio_core::trace::TraceParent;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{self, unreadable};
use crate::sqlite::engine::Transaction;
use crate::sqlite::stage::{SUBMIT, SUBMIT_COLUMNS};
use crate::sqlite::values::{ROWS_MAX, values};
use crate::write::submit::{Known, KnownRow, RequestName, Submit, known_from};

pub(super) async fn submit(
    tx: &mut Transaction<'_>,
    submits: &[&Submit],
) -> sqlx::Result<HashMap<RequestName, Known>> {
    let mut known = Vec::new();
    for some in submits.chunks(ROWS_MAX) {
        known.extend(insert(tx.connection, some).await?);
    }
    let known = known_from(known).map_err(unreadable)?;
    let new: Vec<_> = submits.iter().filter(|submit| submit.is_new(&known)).collect();
    for submit in &new {
        for (place, file) in (0_i64..).zip(&submit.attachments) {
            insert_attachment(tx.connection, submit.job.id, place, file).await?;
        }
    }
    *tx.news |= !new.is_empty();
    Ok(known)
}

/// The requests of these that were stored before.
pub(super) async fn requests(
    tx: &mut Transaction<'_>,
    keys: &[&RequestKey],
) -> sqlx::Result<HashMap<RequestName, Known>> {
    let mut known: Vec<KnownRow> = Vec::new();
    for some in keys.chunks(ROWS_MAX) {
        let sql = format!(
            "SELECT k.caller, k.request_id, k.fingerprint, k.job FROM ({}) AS r \
             CROSS JOIN request_keys AS k ON k.caller = r.column1 AND k.request_id = r.column2",
            values(some.len(), 2)
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for key in some {
            query = query.bind(key.caller.0.as_str()).bind(key.request_id.as_str());
        }
        known.extend(query.fetch_all(&mut *tx.connection).await?);
    }
    known_from(known).map_err(unreadable)
}

async fn insert(
    connection: &mut SqliteConnection,
    submits: &[&Submit],
) -> sqlx::Result<Vec<KnownRow>> {
    let rows = values(submits.len(), SUBMIT_COLUMNS);
    let sql = format!(
        "INSERT INTO temp.submits SELECT * FROM ({rows}) WHERE column1 IS NOT NULL;\n{SUBMIT}"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for Submit { job, request, recipients, labels, mail, .. } in submits {
        let request = request.as_ref();
        query = query
            .bind(rows::id_to(job.id))
            .bind(job.class.name())
            .bind(job.state.name())
            .bind(recipients.as_str())
            .bind(job.attempts)
            .bind(job.created_at.as_microsecond())
            .bind(job.updated_at.as_microsecond())
            .bind(job.due_at.as_microsecond())
            .bind(job.expires_at.as_microsecond())
            .bind(job.message_id.as_str())
            .bind(labels.as_str())
            .bind(job.subject.as_str())
            .bind(job.template.as_deref())
            .bind(job.trace.as_ref().map(TraceParent::as_str))
            .bind(mail.as_slice())
            .bind(request.map(|key| key.caller.0.as_str()))
            .bind(request.map(|key| key.request_id.as_str()))
            .bind(request.map(|key| key.fingerprint.as_slice()));
    }
    query.fetch_all(connection).await
}

async fn insert_attachment(
    connection: &mut SqliteConnection,
    job: MailJobId,
    place: i64,
    file: &Attachment,
) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_attachments (job, place, file_name, content_type, content, sealed) \
               VALUES (?, ?, ?, ?, ?, TRUE)";
    let insert = sqlx::query(sql).bind(rows::id_to(job)).bind(place);
    let insert = insert.bind(&file.file_name).bind(&file.content_type).bind(&file.content);
    insert.execute(connection).await.map(drop)
}
