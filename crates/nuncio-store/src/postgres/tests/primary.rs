//! The host that may be written is another one than before.

use super::*;

#[tokio::test]
async fn of_several_hosts_the_one_that_answers_is_used() {
    let url = schema("hosts").await.replacen('@', "@127.0.0.1:1,", 1).parse().unwrap();

    let store = opened(&url).await.unwrap();

    store.submit(job(1)).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}

#[tokio::test]
async fn a_database_that_may_not_be_written_for_a_while_is_used_again_afterwards() {
    let (role, url) = database_of_a_role("read_only").await;
    let store = opened(&url).await.unwrap();
    store.submit(job(1)).await.unwrap();
    let mut admin = admin().await;

    let read_only = format!("ALTER ROLE {role} SET default_transaction_read_only = on");
    execute(&mut admin, &read_only).await;
    kill_connections(&url).await;
    for number in 2..9 {
        let refused = store.submit(job(number)).await.unwrap_err();
        assert!(matches!(refused, SubmitError::Store(StoreError::Unusable(_))), "{refused:?}");
    }
    check_refused(&url, &["standby or read-only", "name the primary"]).await;
    execute(&mut admin, &format!("ALTER ROLE {role} RESET ALL")).await;

    store.submit(job(9)).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().queued, 2);
}

#[tokio::test]
async fn a_database_that_has_lost_its_last_commits_wakes_those_who_wait_all_the_same() {
    let url = database("lost_commits").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();
    for number in 1..9 {
        one.submit(job(number)).await.unwrap();
    }
    let mut connection = PgConnection::connect_with(&url.hosts()[0]).await.unwrap();
    execute(&mut connection, "UPDATE mail_job_counter SET wakes = 0").await;
    signals::look_once(&one.readers, &one.signals).await.unwrap();
    let mut changed = one.changed();
    changed.borrow_and_update();

    two.submit(job(9)).await.unwrap();

    tokio::time::timeout(SOON, changed.changed()).await.expect("it is woken").unwrap();
}

/// A role that only this test knows, and the URL of an empty schema of its own.
async fn database_of_a_role(name: &str) -> (String, PostgresUrl) {
    let role = format!("{name}_{}", std::process::id());
    let mut admin = admin().await;
    execute(&mut admin, &format!("CREATE ROLE {role} LOGIN PASSWORD 'known'")).await;
    execute(&mut admin, &format!("CREATE SCHEMA AUTHORIZATION {role}")).await;
    let server = server();
    let (_login, address) = server.split_once('@').unwrap();
    let session = format!("options[search_path]={role}&application_name={role}");
    let url = format!("postgres://{role}:known@{address}?{session}").parse().unwrap();
    (role, url)
}
