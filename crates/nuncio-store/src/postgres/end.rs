//! What ends jobs, or puts them back: cancel, direct, expire, rescue, release, prune.
//!
//! Whatever is read here to be changed is locked; what another node has locked is left to it.

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::Dead;
use sqlx::QueryBuilder;

use crate::postgres::engine::Transaction;
use crate::rows::{self, ended, waiting};
use crate::write::end::Prune;
use crate::write::engine::{HeldRow, held_columns};

/// In the order of the ids, so that two nodes do not wait for each other.
pub(super) async fn find(
    tx: &mut Transaction<'_>,
    ids: &[MailJobId],
) -> sqlx::Result<Vec<HeldRow>> {
    let sql = concat!(
        "SELECT ",
        held_columns!(),
        " FROM mail_jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE"
    );
    let ids: Vec<_> = ids.iter().map(|id| rows::id_to(*id)).collect();
    sqlx::query_as(sql).bind(ids).fetch_all(&mut *tx.connection).await
}

pub(super) async fn has_mail(tx: &mut Transaction<'_>, id: MailJobId) -> sqlx::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM mail_bodies WHERE job = $1)";
    sqlx::query_scalar(sql).bind(rows::id_to(id)).fetch_one(&mut *tx.connection).await
}

pub(super) async fn expired(
    tx: &mut Transaction<'_>,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<Vec<HeldRow>> {
    let sql = concat!(
        "SELECT ",
        held_columns!(),
        " FROM mail_jobs WHERE ",
        waiting!(),
        " AND expires_at_us > 0 AND expires_at_us <= $1 \
         ORDER BY expires_at_us LIMIT $2 FOR UPDATE SKIP LOCKED"
    );
    let expired = sqlx::query_as(sql).bind(now.as_microsecond()).bind(i64::from(limit));
    expired.fetch_all(&mut *tx.connection).await
}

pub(super) async fn remove_mails_of_unknown(
    tx: &mut Transaction<'_>,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<()> {
    let sql = "WITH gone AS MATERIALIZED (SELECT id FROM mail_jobs \
               WHERE state = 'UNKNOWN' AND expires_at_us <= $1 \
               AND EXISTS (SELECT 1 FROM mail_bodies WHERE job = id) LIMIT $2 \
               FOR UPDATE SKIP LOCKED), \
               attachments AS (DELETE FROM mail_attachments WHERE job IN (SELECT id FROM gone)) \
               DELETE FROM mail_bodies WHERE job IN (SELECT id FROM gone)";
    let delete = sqlx::query(sql).bind(now.as_microsecond()).bind(i64::from(limit));
    delete.execute(&mut *tx.connection).await.map(drop)
}

pub(super) async fn orphans(
    tx: &mut Transaction<'_>,
    dead: &Dead,
    now: Timestamp,
) -> sqlx::Result<Vec<HeldRow>> {
    let sql = concat!("SELECT ", held_columns!(), " FROM mail_jobs WHERE state = 'SENDING' AND ");
    let mut sql = QueryBuilder::new(sql);
    match dead {
        Dead::LeaseEnded => sql.push("lease_until_us <= ").push_bind(now.as_microsecond()),
        Dead::AllBut(alive) => sql.push("lease_holder <> ").push_bind(&alive.0),
    };
    sql.push(" FOR UPDATE SKIP LOCKED");
    sql.build_query_as().fetch_all(&mut *tx.connection).await
}

pub(super) async fn release_held(tx: &mut Transaction<'_>, now: Timestamp) -> sqlx::Result<u64> {
    let sql = "UPDATE mail_jobs SET due_at_us = $1 WHERE state = 'HELD' AND due_at_us > $1 \
               AND due_at_us < expires_at_us";
    let update = sqlx::query(sql).bind(now.as_microsecond());
    let released = update.execute(&mut *tx.connection).await?.rows_affected();
    if 0 < released {
        tx.pending.news();
    }
    Ok(released)
}

pub(super) async fn prune(tx: &mut Transaction<'_>, prune: &Prune) -> sqlx::Result<u64> {
    let sql = concat!(
        "SELECT id FROM mail_jobs WHERE ",
        ended!(),
        " AND updated_at_us < $1 ORDER BY updated_at_us LIMIT $2 FOR UPDATE SKIP LOCKED"
    );
    let ids = sqlx::query_scalar(sql).bind(prune.before.as_microsecond());
    let ids: Vec<Vec<u8>> = ids.bind(i64::from(prune.limit)).fetch_all(&mut *tx.connection).await?;
    let sql = "WITH bodies AS (DELETE FROM mail_bodies WHERE job = ANY($1)), \
               attachments AS (DELETE FROM mail_attachments WHERE job = ANY($1)), \
               attempts AS (DELETE FROM mail_attempts WHERE job = ANY($1)), \
               requests AS (DELETE FROM request_keys WHERE job = ANY($1)), \
               changes AS (DELETE FROM mail_job_changes WHERE job = ANY($1)) \
               DELETE FROM mail_jobs WHERE id = ANY($1)";
    let delete = sqlx::query(sql).bind(ids);
    delete.execute(&mut *tx.connection).await.map(|done| done.rows_affected())
}
