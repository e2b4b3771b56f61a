//! A newer nuncio has updated the tables of a node that still runs.

use super::*;

#[tokio::test]
async fn a_running_node_goes_on_while_a_newer_one_adds_to_its_tables() {
    let url = database("upgrade").await;
    let store = opened(&url).await.unwrap();
    life_of_jobs(&store, 0).await;

    let mut newer = PgConnection::connect_with(&url.hosts()[0]).await.unwrap();
    for table in tables(&mut newer).await {
        let sql = format!(
            "ALTER TABLE {table} ADD COLUMN newer TEXT, ADD COLUMN newest TEXT NOT NULL DEFAULT ''"
        );
        execute(&mut newer, &sql).await;
    }
    execute(&mut newer, "CREATE TABLE newer (id BIGINT PRIMARY KEY)").await;
    execute(&mut newer, "CREATE INDEX newer_jobs ON mail_jobs (newest, due_at_us)").await;

    life_of_jobs(&store, 100).await;
}

/// All that a node does with jobs and records, over each of its connections.
async fn life_of_jobs(store: &PostgresJobStore, from: u8) {
    let numbers = from..from + 60;
    let submits = join_all(numbers.clone().map(|number| store.submit(job(number)))).await;
    assert!(submits.iter().all(Result::is_ok), "{submits:?}");
    let lives = (0..6).map(|_writer| async {
        for claimed in claim(store, "node", 10).await {
            store.extend(&claimed.lease, START + SOON).await.unwrap();
            store.enter_body(&claimed.lease).await.unwrap();
            let settlement = sent(&claimed.job, "250 ok");
            store.settle(claimed.lease, settlement).await.unwrap();
            assert_eq!(store.attempts(claimed.job.id, 9).await.unwrap().len(), 1);
        }
    });
    join_all(lives).await;
    for number in numbers {
        let job = store.get(job(number).id).await.unwrap().expect("it is there");
        assert_eq!(job.state, JobState::Sent);
    }
    let again = store.submit(job(from)).await.unwrap();
    assert!(matches!(again, Submitted::Existing(_)), "{again:?}");
    store.rescue(Dead::LeaseEnded, START).await.unwrap();
    store.expire(START, 9).await.unwrap();
    store.prune(START - SOON, 9).await.unwrap();
    for expected in [Expected::Absent, Expected::Any] {
        let put = Write::Put {
            key: RecordKey::new(RecordKind("guest"), from.to_string()),
            expected,
            owner: None,
            due_at: None,
            content: "{}".to_owned(),
        };
        store.commit(Changeset { writes: vec![put], ..Changeset::new(START) }).await.unwrap();
    }
}

async fn tables(connection: &mut PgConnection) -> Vec<String> {
    let sql = "SELECT table_name::TEXT FROM information_schema.tables \
               WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(connection).await.unwrap();
    assert!(5 < tables.len(), "{tables:?}");
    tables
}
