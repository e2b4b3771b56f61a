//! What is sealed by which key.
//!
//! The attachments of a mail are always under the key of its body, as both are written at once: so bodies tell for both.

use nuncio_core::job::MailJobId;
use sqlx::SqlitePool;

use crate::rows;
use crate::sqlite::engine::Transaction;
use crate::write::keys::{ForgetKey, NoteKey, ResealedMail};

const NOTE: &str = "INSERT INTO mail_keys (key_id, proof) VALUES (?, ?) ON CONFLICT DO NOTHING";

pub(super) async fn noted(readers: &SqlitePool) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT key_id FROM mail_keys").fetch_all(readers).await
}

/// How many mails begin so.
pub(super) async fn count(readers: &SqlitePool, mark: &[u8]) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM mail_bodies WHERE substr(sealed, 1, ?) = ?";
    sqlx::query_scalar(sql).bind(length(mark)).bind(mark).fetch_one(readers).await
}

/// The jobs of mails that are sealed, but do not begin so.
pub(super) async fn others(
    readers: &SqlitePool,
    mark: &[u8],
    after: Option<MailJobId>,
    limit: u32,
) -> sqlx::Result<Vec<Vec<u8>>> {
    let sql = "SELECT job FROM mail_bodies WHERE job > ? AND substr(sealed, 1, ?) <> ? \
               ORDER BY job LIMIT +?";
    let after = after.map(rows::id_to).unwrap_or_default();
    let select = sqlx::query_scalar(sql).bind(after).bind(length(mark)).bind(mark).bind(limit);
    select.fetch_all(readers).await
}

/// The sealed mail of a job, if it is still there.
pub(super) async fn body(readers: &SqlitePool, job: &[u8]) -> sqlx::Result<Option<Vec<u8>>> {
    let sql = "SELECT sealed FROM mail_bodies WHERE job = ? AND sealed IS NOT NULL";
    sqlx::query_scalar(sql).bind(job).fetch_optional(readers).await
}

pub(super) async fn note(tx: &mut Transaction<'_>, key: &NoteKey) -> sqlx::Result<()> {
    let note = sqlx::query(NOTE).bind(&key.key_id).bind(&key.proof);
    note.execute(&mut *tx.connection).await.map(drop)
}

pub(super) async fn forget(tx: &mut Transaction<'_>, key: &ForgetKey) -> sqlx::Result<bool> {
    let sql = "DELETE FROM mail_keys WHERE key_id = ? \
               AND NOT EXISTS (SELECT 1 FROM mail_bodies WHERE substr(sealed, 1, ?) = ?)";
    let delete = sqlx::query(sql).bind(&key.key_id).bind(length(&key.mark)).bind(&key.mark);
    delete.execute(&mut *tx.connection).await?;
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM mail_keys WHERE key_id = ?)";
    sqlx::query_scalar(sql).bind(&key.key_id).fetch_one(&mut *tx.connection).await
}

pub(super) async fn reseal(tx: &mut Transaction<'_>, mails: &[ResealedMail]) -> sqlx::Result<u64> {
    let mut count = 0;
    for ResealedMail { job, sealed, files } in mails {
        let job = rows::id_to(*job);
        let update = sqlx::query("UPDATE mail_bodies SET sealed = ? WHERE job = ?");
        let update = update.bind(sealed).bind(&job).execute(&mut *tx.connection);
        count += update.await?.rows_affected();
        for (place, content) in files {
            let update = "UPDATE mail_attachments SET content = ? WHERE job = ? AND place = ?";
            let update = sqlx::query(update).bind(content).bind(&job).bind(place);
            update.execute(&mut *tx.connection).await?;
        }
    }
    Ok(count)
}

fn length(mark: &[u8]) -> i64 {
    i64::try_from(mark.len()).expect("a mark is short")
}
