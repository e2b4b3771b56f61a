//! Claims.

use std::collections::HashMap;

use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, MailJobId};
use nuncio_core::ports::job_store::{Claim, Lease, StoreError};
use sqlx::{FromRow, QueryBuilder, SqliteConnection};

use crate::rows::{self, JobRow, readable, unreadable};
use crate::sqlite::advance::note_changes;
use crate::sqlite::read::{self, job_columns, waiting};
use crate::sqlite::writer::{Answer, Group, Lane, Op, TOGETHER_MAX, Transaction, in_powers_of_two};

#[derive(FromRow)]
struct LeasedRow {
    #[sqlx(flatten)]
    job: JobRow,
    fence: i64,
}

impl Op for Claim {
    type Out = Vec<(Lease, Job)>;
    type Refusal = StoreError;

    const TOGETHER_MAX: usize = 1;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.claims
    }

    async fn run(tx: &mut Transaction<'_>, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for claim in ops {
            let ids = find(tx.connection, claim).await?;
            let mut leased = lease(tx.connection, claim, &ids).await?;
            note_changes(tx, &ids).await?;
            answers.push(Ok(ids.iter().filter_map(|id| leased.remove(id)).collect()));
        }
        Ok(answers)
    }
}

/// What can be claimed, in its order: class by class, so that only what is due is looked at.
async fn find(connection: &mut SqliteConnection, claim: &Claim) -> sqlx::Result<Vec<MailJobId>> {
    let sql = concat!(
        "SELECT id FROM mail_jobs WHERE ",
        waiting!(),
        " AND class = ?1 AND due_at_us <= ?2 AND expires_at_us > ?2 \
         ORDER BY due_at_us, id LIMIT ?3"
    );
    let (mut found, mut patient) = (Vec::new(), 0);
    for class in MailClass::ALL {
        let left = claim.left_for(class, count(&found), patient);
        if left == 0 {
            continue;
        }
        let ids = sqlx::query_scalar(sql).bind(class.name()).bind(claim.now.as_microsecond());
        let ids: Vec<Vec<u8>> = ids.bind(left).fetch_all(&mut *connection).await?;
        if class.is_patient() {
            patient += count(&ids);
        }
        for id in ids {
            found.push(rows::id_from(&id).map_err(unreadable)?);
        }
    }
    Ok(found)
}

fn count<T>(all: &[T]) -> u32 {
    u32::try_from(all.len()).expect("the limit is a u32")
}

async fn lease(
    connection: &mut SqliteConnection,
    claim: &Claim,
    ids: &[MailJobId],
) -> sqlx::Result<HashMap<MailJobId, (Lease, Job)>> {
    let mut leased = HashMap::with_capacity(ids.len());
    for some in in_powers_of_two(ids, TOGETHER_MAX) {
        let mut sql = QueryBuilder::new(
            "UPDATE mail_jobs SET state = 'SENDING', fence = fence + 1, body_entered = ",
        );
        sql.push_bind(claim.into_body);
        sql.push(", lease_holder = ").push_bind(&claim.holder.0);
        sql.push(", lease_until_us = ").push_bind(claim.until.as_microsecond());
        sql.push(", updated_at_us = ").push_bind(claim.now.as_microsecond());
        sql.push(" WHERE id IN ");
        read::push_ids(&mut sql, some);
        sql.push(concat!(" RETURNING fence, ", job_columns!()));
        let rows: Vec<LeasedRow> = sql.build_query_as().fetch_all(&mut *connection).await?;
        for LeasedRow { job, fence } in rows {
            let id = job.id.clone();
            let Some(job) = readable(&id, Job::try_from(job)) else { continue };
            leased.insert(job.id, (Lease { job: job.id, fence }, job));
        }
    }
    Ok(leased)
}
