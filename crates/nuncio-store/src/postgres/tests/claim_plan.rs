//! A claim reads the first jobs that wait, however many others wait and have ended.

use super::*;
use crate::postgres::claim::{DUE_CLASSES, LEASE};
use crate::write::claim::class_names;

/// Jobs that ended long ago, and those that came after the database had last counted its rows.
const ENDED: i64 = 20_000;
const WAITING: i64 = 2_000;

/// Jobs of class bulk, due since the start, as a long history or a sudden queue leaves them.
const FILL: &str = "INSERT INTO mail_jobs (id, class, state, recipients, attempts, created_at_us, updated_at_us, due_at_us, \
     expires_at_us, message_id, labels, subject) \
     SELECT decode(md5($1::TEXT || i), 'hex'), 'BULK', $1::TEXT, '[]', 0, $2::BIGINT, $2, $2 + i, $2 + 3600000000, '', '{}', '' \
     FROM generate_series(1, $3::BIGINT) AS i";

#[tokio::test]
async fn a_claim_beside_a_long_history_reads_only_what_it_takes() {
    let url = database("claim_plan").await;
    drop(opened(&url).await.unwrap());
    let mut connection = PgConnection::connect_with(&url.hosts()[0]).await.unwrap();
    fill(&mut connection, "SENT", ENDED).await;
    execute(&mut connection, "ANALYZE mail_jobs").await;
    fill(&mut connection, "QUEUED", WAITING).await;

    let now = (START + Duration::from_mins(1)).as_microsecond();
    let due = format!("EXPLAIN {DUE_CLASSES}");
    let due = sqlx::query_scalar(AssertSqlSafe(due)).bind(class_names()).bind(now);
    let due: Vec<String> = due.fetch_all(&mut connection).await.unwrap();
    let lease = format!("EXPLAIN {LEASE}");
    let lease = sqlx::query_scalar(AssertSqlSafe(lease)).bind("BULK").bind(now).bind(20_i64);
    let lease = lease.bind("node").bind(now).bind(false).bind(Vec::<Vec<u8>>::new());
    let lease: Vec<String> = lease.fetch_all(&mut connection).await.unwrap();

    for plan in [due, lease] {
        let plan = plan.join("\n");
        assert!(plan.contains("mail_jobs_waiting"), "not by the index for claims:\n{plan}");
        assert!(!plan.contains("Sort"), "all that wait are sorted:\n{plan}");
    }
}

async fn fill(connection: &mut PgConnection, state: &str, jobs: i64) {
    let fill = sqlx::query(FILL).bind(state).bind(START.as_microsecond()).bind(jobs);
    fill.execute(connection).await.unwrap();
}
