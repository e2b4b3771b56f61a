//! What the holder of a lease does before it settles.

use std::collections::HashSet;

use nuncio_core::job::MailJobId;

use crate::postgres::engine::Transaction;
use crate::rows::{self, unreadable};
use crate::write::lease::{EnterBody, Extend};

pub(super) async fn enter_bodies(
    tx: &mut Transaction<'_>,
    leases: &[&EnterBody],
) -> sqlx::Result<HashSet<MailJobId>> {
    let sql = "UPDATE mail_jobs SET body_entered = TRUE \
               FROM UNNEST($1::BYTEA[], $2::BIGINT[]) AS lease (job, lease_fence) \
               WHERE id = lease.job AND fence = lease_fence AND state = 'SENDING' RETURNING id";
    let held: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(leases.iter().map(|lease| rows::id_to(lease.id)).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.fence).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await?;
    rows::ids_from(&held).map_err(unreadable)
}

pub(super) async fn extend(
    tx: &mut Transaction<'_>,
    leases: &[&Extend],
) -> sqlx::Result<HashSet<MailJobId>> {
    let sql = "UPDATE mail_jobs SET lease_until_us = lease.until_us \
               FROM UNNEST($1::BYTEA[], $2::BIGINT[], $3::BIGINT[]) \
               AS lease (job, lease_fence, until_us) \
               WHERE id = lease.job AND fence = lease_fence AND state = 'SENDING' RETURNING id";
    let held: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(leases.iter().map(|lease| rows::id_to(lease.id)).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.fence).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.until.as_microsecond()).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await?;
    rows::ids_from(&held).map_err(unreadable)
}
