//! Mails in the database are sealed.

use nuncio_core::mail::Attachment;

use super::*;

/// What stands nowhere but in mails.
const MARKER: &str = "Tr0ub4dor";

fn secret_job(number: u8) -> NewJob {
    let mut job = job(number);
    job.mail.text = Some(format!("the password is {MARKER}").into());
    let (file_name, content_type) = ("a.txt".to_owned(), "text/plain".to_owned());
    let content = MARKER.as_bytes().to_vec();
    job.mail.attachments = vec![Attachment { file_name, content_type, content }];
    job
}

/// The tables in which the marker can be read, as text or in bytes.
async fn tables_with_marker(store: &PostgresJobStore) -> Vec<String> {
    let sql = "SELECT table_name::TEXT FROM information_schema.tables \
               WHERE table_schema = current_schema()";
    let tables: Vec<String> = sqlx::query_scalar(sql).fetch_all(&store.readers).await.unwrap();
    assert!(tables.iter().any(|table| table == "mail_bodies"), "{tables:?}");
    let hex = "547230756234646f72";
    assert_eq!(u128::from_str_radix(hex, 16).unwrap().to_be_bytes()[7..], *MARKER.as_bytes());
    let mut found = Vec::new();
    for table in tables {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM {table} AS t \
             WHERE strpos(t::TEXT, '{MARKER}') > 0 OR strpos(t::TEXT, '{hex}') > 0)"
        );
        let sql = AssertSqlSafe(sql);
        if sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap() {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn no_table_ever_shows_a_mail() {
    let store = opened(&database("sealed").await).await.unwrap();
    store.submit(secret_job(1)).await.unwrap();
    let changes = Changeset { jobs: vec![secret_job(2)], ..Changeset::new(START) };
    store.commit(changes).await.unwrap();

    assert_eq!(tables_with_marker(&store).await, [] as [String; 0], "before they are sent");
    let claimed = claim(&store, "a", 9).await;
    assert!(claimed.iter().all(|one| one.mail == secret_job(1).mail));
    assert_eq!(claimed.len(), 2);
    for Claimed { lease, job, .. } in claimed {
        let settlement = sent(&job, "250 ok");
        store.settle(lease, settlement).await.unwrap();
    }
    assert_eq!(tables_with_marker(&store).await, [] as [String; 0], "after they were sent");
}

#[tokio::test]
async fn a_mail_that_an_older_version_stored_is_still_read() {
    let store = opened(&database("older").await).await.unwrap();
    store.submit(secret_job(1)).await.unwrap();
    let sql = "UPDATE mail_bodies SET mail = $1, sealed = NULL";
    let mail = crate::rows::mail_to(&secret_job(1).mail);
    sqlx::query(sql).bind(mail).execute(&store.readers).await.unwrap();
    let sql = "UPDATE mail_attachments SET content = $1, sealed = FALSE";
    sqlx::query(sql).bind(MARKER.as_bytes()).execute(&store.readers).await.unwrap();
    assert_eq!(tables_with_marker(&store).await.len(), 2, "it is found where it stands");

    let claimed = claim(&store, "a", 9).await.remove(0);

    assert!(claimed.mail == secret_job(1).mail, "{:?}", claimed.mail);
}

#[tokio::test]
async fn a_node_with_another_key_is_refused_with_what_to_do() {
    let url = database("keys").await;
    let store = opened(&url).await.unwrap();

    let Err(refused) = PostgresJobStore::open(&url, sealer("other")).await else {
        panic!("it was opened")
    };

    let OpenError::Keys { source, .. } = &refused else { panic!("{refused:?}") };
    for part in ["key `key`", "share one key file", "`keys.file`"] {
        assert!(source.to_string().contains(part), "{source}");
    }
    // Not even a store without mails: the node that has sealed none yet is about to.
    store.submit(job(1)).await.unwrap();
    assert_eq!(claim(&store, "a", 9).await.len(), 1);
}

#[tokio::test]
async fn of_nodes_with_other_keys_that_start_together_one_is_refused() {
    let url = database("together").await;
    // The tables first: so that nothing but the keys is at stake.
    let url = {
        drop(opened(&url).await.unwrap());
        url
    };
    execute_in(&url, "DELETE FROM mail_keys").await;

    let open = |key| PostgresJobStore::open(&url, sealer(key));
    let (one, two) = tokio::join!(open("one"), open("two"));

    assert!(one.is_ok() != two.is_ok(), "{} {}", one.is_ok(), two.is_ok());
}

async fn execute_in(url: &PostgresUrl, sql: &'static str) {
    use sqlx::ConnectOptions as _;

    let mut connection = url.hosts()[0].connect().await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn a_new_first_key_writes_nothing_before_it_is_noted() {
    let url = database("first").await;
    let other = opened(&url).await.unwrap();

    let keys = Arc::new(TestKeys::new(&["new", "key"]));
    let store = PostgresJobStore::open(&url, Arc::<TestKeys>::clone(&keys)).await.unwrap();
    store.submit(job(1)).await.unwrap();

    assert_eq!(claim(&other, "a", 9).await.len(), 1, "whoever has only the old key can read it");
}

#[tokio::test]
async fn a_mail_whose_job_another_node_is_writing_is_resealed_the_next_time() {
    let url = database("busy").await;
    let keys = Arc::new(TestKeys::new(&["key"]));
    let store = PostgresJobStore::open(&url, Arc::<TestKeys>::clone(&keys)).await.unwrap();
    for number in 1..=2 {
        store.submit(job(number)).await.unwrap();
    }
    keys.set(&["new", "key"]);
    let mut writing = store.readers.begin().await.unwrap();
    let lock = sqlx::query("SELECT 1 FROM mail_jobs WHERE id = $1 FOR UPDATE");
    lock.bind(crate::rows::id_to(job(1).id)).execute(&mut *writing).await.unwrap();

    let meanwhile = store.reseal_mails(None, 9).await.unwrap();
    writing.rollback().await.unwrap();

    assert_eq!((meanwhile.count, meanwhile.last), (1, Some(job(2).id)));
    assert_eq!(store.reseal_mails(None, 9).await.unwrap().count, 1);
}
