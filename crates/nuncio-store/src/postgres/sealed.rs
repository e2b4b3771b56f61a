//! What is sealed by which key.
//!
//! The attachments of a mail are always under the key of its body, as both are written at once: so bodies tell for both.

use std::collections::HashSet;

use nuncio_core::job::MailJobId;
use sqlx::PgPool;

use crate::postgres::engine::Transaction;
use crate::rows;
use crate::write::keys::{ForgetKey, NoteKey, ResealedMail};

pub(super) async fn noted(readers: &PgPool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT key_id FROM mail_keys").fetch_all(readers).await
}

/// How many mails begin so.
pub(super) async fn count(readers: &PgPool, mark: &[u8]) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM mail_bodies WHERE substring(sealed FROM 1 FOR $1) = $2";
    sqlx::query_scalar(sql).bind(length(mark)).bind(mark).fetch_one(readers).await
}

/// The jobs of mails that are sealed, but do not begin so.
pub(super) async fn others(
    readers: &PgPool,
    mark: &[u8],
    after: Option<MailJobId>,
    limit: u32,
) -> sqlx::Result<Vec<Vec<u8>>> {
    let sql = "SELECT job FROM mail_bodies WHERE job > $1 AND substring(sealed FROM 1 FOR $2) <> $3 \
               ORDER BY job LIMIT $4";
    let after = after.map(rows::id_to).unwrap_or_default();
    let select = sqlx::query_scalar(sql).bind(after).bind(length(mark)).bind(mark);
    select.bind(i64::from(limit)).fetch_all(readers).await
}

/// The sealed mail of a job, if it is still there.
pub(super) async fn body(readers: &PgPool, job: &[u8]) -> sqlx::Result<Option<Vec<u8>>> {
    let sql = "SELECT sealed FROM mail_bodies WHERE job = $1 AND sealed IS NOT NULL";
    sqlx::query_scalar(sql).bind(job).fetch_optional(readers).await
}

pub(super) async fn note(tx: &mut Transaction<'_>, key: &NoteKey) -> sqlx::Result<()> {
    let sql = "INSERT INTO mail_keys (key_id, proof) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let note = sqlx::query(sql).bind(&key.key_id).bind(&key.proof);
    note.execute(&mut *tx.connection).await.map(drop)
}

/// A node that starts at the same time waits here, or is waited for.
pub(super) async fn forget(tx: &mut Transaction<'_>, key: &ForgetKey) -> sqlx::Result<bool> {
    let lock = sqlx::query("LOCK TABLE mail_keys IN EXCLUSIVE MODE");
    lock.execute(&mut *tx.connection).await?;
    let sql = "DELETE FROM mail_keys WHERE key_id = $1 \
               AND NOT EXISTS (SELECT 1 FROM mail_bodies WHERE substring(sealed FROM 1 FOR $2) = $3)";
    let delete = sqlx::query(sql).bind(&key.key_id).bind(length(&key.mark)).bind(&key.mark);
    delete.execute(&mut *tx.connection).await?;
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM mail_keys WHERE key_id = $1)";
    sqlx::query_scalar(sql).bind(&key.key_id).fetch_one(&mut *tx.connection).await
}

/// A job that somebody else is writing is left to the next time: so nobody who holds one waits for another one.
pub(super) async fn reseal(tx: &mut Transaction<'_>, mails: &[ResealedMail]) -> sqlx::Result<u64> {
    let sql = "SELECT id FROM mail_jobs WHERE id = ANY($1) FOR UPDATE SKIP LOCKED";
    let ids: Vec<_> = mails.iter().map(|mail| rows::id_to(mail.job)).collect();
    let free: HashSet<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(ids)
        .fetch_all(&mut *tx.connection)
        .await?
        .into_iter()
        .collect();
    let mut count = 0;
    for ResealedMail { job, sealed, files } in mails {
        let job = rows::id_to(*job);
        if !free.contains(&job) {
            continue;
        }
        let update = sqlx::query("UPDATE mail_bodies SET sealed = $1 WHERE job = $2");
        let update = update.bind(sealed).bind(&job).execute(&mut *tx.connection);
        count += update.await?.rows_affected();
        for (place, content) in files {
            let update = "UPDATE mail_attachments SET content = $1 WHERE job = $2 AND place = $3";
            let update = sqlx::query(update).bind(content).bind(&job).bind(place);
            update.execute(&mut *tx.connection).await?;
        }
    }
    Ok(count)
}

fn length(mark: &[u8]) -> i32 {
    i32::try_from(mark.len()).expect("a mark is short")
}
