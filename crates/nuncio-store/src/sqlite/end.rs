//! What ends jobs, or puts them back: cancel, direct, expire, rescue, release, prune.

use jiff::Timestamp;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::Dead;
use sqlx::{AssertSqlSafe, QueryBuilder};

use crate::rows::{self, ended, waiting};
use crate::sqlite::engine::Transaction;
use crate::sqlite::values::{ROWS_MAX, padded, tuple};
use crate::write::end::Prune;
use crate::write::engine::{HeldRow, held_columns};

pub(super) async fn find(
    tx: &mut Transaction<'_>,
    ids: &[MailJobId],
) -> sqlx::Result<Vec<HeldRow>> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(ROWS_MAX) {
        let select = concat!("SELECT ", held_columns!(), " FROM mail_jobs WHERE id IN ");
        let sql = format!("{select}{}", tuple(padded(some.len())));
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for id in some {
            query = query.bind(rows::id_to(*id));
        }
        found.extend(query.fetch_all(&mut *tx.connection).await?);
    }
    Ok(found)
}

pub(super) async fn has_mail(tx: &mut Transaction<'_>, id: MailJobId) -> sqlx::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM mail_bodies WHERE job = ?)";
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
        " AND expires_at_us <= ? ORDER BY expires_at_us LIMIT +?"
    );
    let expired = sqlx::query_as(sql).bind(now.as_microsecond()).bind(limit);
    expired.fetch_all(&mut *tx.connection).await
}

pub(super) async fn remove_mails_of_unknown(
    tx: &mut Transaction<'_>,
    now: Timestamp,
    limit: u32,
) -> sqlx::Result<()> {
    let sql = "DELETE FROM mail_bodies WHERE job IN (SELECT id FROM mail_jobs \
               WHERE state = 'UNKNOWN' AND expires_at_us <= ? \
               AND EXISTS (SELECT 1 FROM mail_bodies WHERE job = id) LIMIT +?)";
    let delete = sqlx::query(sql).bind(now.as_microsecond()).bind(limit);
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
    sql.build_query_as().fetch_all(&mut *tx.connection).await
}

pub(super) async fn release_held(tx: &mut Transaction<'_>, now: Timestamp) -> sqlx::Result<u64> {
    let sql = "UPDATE mail_jobs SET due_at_us = ?1 WHERE state = 'HELD' AND due_at_us > ?1 \
               AND due_at_us < expires_at_us";
    let update = sqlx::query(sql).bind(now.as_microsecond());
    let released = update.execute(&mut *tx.connection).await?.rows_affected();
    *tx.news |= 0 < released;
    Ok(released)
}

/// What belongs to a job goes with it, by its foreign keys.
pub(super) async fn prune(tx: &mut Transaction<'_>, prune: &Prune) -> sqlx::Result<u64> {
    let sql = concat!(
        "DELETE FROM mail_jobs WHERE id IN (SELECT id FROM mail_jobs WHERE ",
        ended!(),
        " AND updated_at_us < ? ORDER BY updated_at_us LIMIT +?)"
    );
    let delete = sqlx::query(sql).bind(prune.before.as_microsecond()).bind(prune.limit);
    delete.execute(&mut *tx.connection).await.map(|done| done.rows_affected())
}
