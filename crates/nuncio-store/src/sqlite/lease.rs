//! What the holder of a lease does before it settles.

use std::collections::HashSet;

use nuncio_core::job::MailJobId;
use sqlx::AssertSqlSafe;

use crate::rows::{self, unreadable};
use crate::sqlite::engine::Transaction;
use crate::sqlite::values::{ROWS_MAX, values};
use crate::write::lease::{EnterBody, Extend};

pub(super) async fn enter_bodies(
    tx: &mut Transaction<'_>,
    leases: &[&EnterBody],
) -> sqlx::Result<HashSet<MailJobId>> {
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(leases.len());
    for some in leases.chunks(ROWS_MAX) {
        let sql = format!(
            "WITH lease (job, fence) AS ({}) UPDATE mail_jobs SET body_entered = 1 FROM lease \
             WHERE mail_jobs.id = lease.job AND mail_jobs.fence = lease.fence \
             AND mail_jobs.state = 'SENDING' RETURNING id",
            values(some.len(), 2)
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for lease in some {
            query = query.bind(rows::id_to(lease.id)).bind(lease.fence);
        }
        held.extend(query.fetch_all(&mut *tx.connection).await?);
    }
    rows::ids_from(&held).map_err(unreadable)
}

pub(super) async fn extend(
    tx: &mut Transaction<'_>,
    leases: &[&Extend],
) -> sqlx::Result<HashSet<MailJobId>> {
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(leases.len());
    for some in leases.chunks(ROWS_MAX) {
        let sql = format!(
            "WITH lease (job, fence, until_us) AS ({}) \
             UPDATE mail_jobs SET lease_until_us = lease.until_us FROM lease \
             WHERE mail_jobs.id = lease.job AND mail_jobs.fence = lease.fence \
             AND mail_jobs.state = 'SENDING' RETURNING id",
            values(some.len(), 3)
        );
        let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
        for lease in some {
            query = query.bind(rows::id_to(lease.id)).bind(lease.fence);
            query = query.bind(lease.until.as_microsecond());
        }
        held.extend(query.fetch_all(&mut *tx.connection).await?);
    }
    rows::ids_from(&held).map_err(unreadable)
}
