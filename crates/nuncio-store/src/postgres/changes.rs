//! The changes of a transaction, written at its end.

use nuncio_core::job::Job;
use sqlx::PgConnection;

use crate::rows::{self, JobRow};

/// What a transaction has changed up to now.
#[derive(Default)]
pub(super) struct Pending {
    changes: Vec<Changed>,
    /// Whether there is something new for those who watch.
    news: bool,
}

/// One commit of one writer.
#[derive(Clone, Copy)]
pub(super) struct CommitId<'a> {
    /// The writer's own.
    pub(super) name: &'a str,
    pub(super) number: i64,
}

impl CommitId<'_> {
    /// Whether this was the writer's last commit with news. Waits for its end where the server still holds it
    /// open: the row that it has written is locked until then.
    pub(super) async fn is_done(self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let sql = "INSERT INTO mail_job_writers (writer, commits) VALUES ($1, 0) \
             ON CONFLICT (writer) DO UPDATE SET seen_at = now() RETURNING commits";
        let last: i64 = sqlx::query_scalar(sql).bind(self.name).fetch_one(connection).await?;
        Ok(last == self.number)
    }
}

/// A job as it stands after a change.
struct Changed {
    job: Vec<u8>,
    state: String,
    reason: Option<String>,
    results: Option<String>,
    attempts: i64,
    updated_at_us: i64,
    due_at_us: i64,
    settings_generation: Option<i64>,
}

/// A place to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    changes: usize,
    news: bool,
}

impl Pending {
    /// A job has changed, and stands now as this row says.
    pub(super) fn row(&mut self, row: &JobRow) {
        self.changes.push(Changed {
            job: row.id.clone(),
            state: row.state.clone(),
            reason: row.reason.clone(),
            results: row.results.clone(),
            attempts: row.attempts,
            updated_at_us: row.updated_at_us,
            due_at_us: row.due_at_us,
            settings_generation: row.settings_generation,
        });
    }

    /// A job is new.
    pub(super) fn new_job(&mut self, job: &Job) {
        self.changes.push(Changed {
            job: rows::id_to(job.id),
            state: job.state.name().to_owned(),
            reason: None,
            results: None,
            attempts: 0,
            updated_at_us: job.updated_at.as_microsecond(),
            due_at_us: job.due_at.as_microsecond(),
            settings_generation: None,
        });
    }

    /// There is something to look at that is no change of a state.
    pub(super) fn news(&mut self) {
        self.news = true;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), news: self.news }
    }

    pub(super) fn reset(&mut self, mark: Mark) {
        self.changes.truncate(mark.changes);
        self.news = mark.news;
    }

    /// Writes the changes, and gives the count of commits with news if this is one.
    ///
    /// The row of the counter stays locked until the commit: this comes last. Nobody else notes the same
    /// `name` and `number` of a commit.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        CommitId { name, number }: CommitId<'_>,
    ) -> sqlx::Result<Option<i64>> {
        if self.changes.is_empty() && !self.news {
            return Ok(None);
        }
        let all = &self.changes;
        let sql = "WITH counter AS (\
             UPDATE mail_job_counter SET last_seq = last_seq + $1, wakes = wakes + 1 \
             RETURNING last_seq, wakes), \
             changes AS (\
             INSERT INTO mail_job_changes (seq, job, state, reason, results, attempts, updated_at_us, \
             due_at_us, settings_generation) \
             SELECT counter.last_seq - $1 + c.place, c.job, c.state, c.reason, c.results, c.attempts, \
             c.updated_at_us, c.due_at_us, c.settings_generation \
             FROM counter, UNNEST($2::BYTEA[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], \
             $7::BIGINT[], $8::BIGINT[], $9::BIGINT[]) WITH ORDINALITY AS c (job, state, reason, \
             results, attempts, updated_at_us, due_at_us, settings_generation, place)), \
             noted AS (\
             INSERT INTO mail_job_writers (writer, commits) VALUES ($10, $11) \
             ON CONFLICT (writer) DO UPDATE SET commits = excluded.commits, seen_at = now()) \
             SELECT wakes FROM counter";
        let wakes = sqlx::query_scalar(sql)
            .bind(i64::try_from(all.len()).expect("so many fit into memory"))
            .bind(all.iter().map(|one| one.job.as_slice()).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.state.as_str()).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.reason.as_deref()).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.results.as_deref()).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.attempts).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.updated_at_us).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.due_at_us).collect::<Vec<_>>())
            .bind(all.iter().map(|one| one.settings_generation).collect::<Vec<_>>())
            .bind(name)
            .bind(number)
            .fetch_one(connection)
            .await?;
        Ok(Some(wakes))
    }
}
