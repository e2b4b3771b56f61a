//! Mails in the file are sealed.

use super::*;

/// What stands nowhere but in mails.
const MARKER: &str = "Tr0ub4dor";

/// A job with the marker in both bodies and in an attachment.
fn secret_job(number: u8) -> NewJob {
    let mut job = large_job(number);
    job.mail.html = Some(format!("<p>{MARKER}</p>").into());
    job.mail.attachments[0].content.extend_from_slice(MARKER.as_bytes());
    job
}

/// The files of the store in which the marker can be read.
fn files_with_marker(folder: &TempDir) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let readable = |path: &PathBuf| {
        let content = fs::read(path).unwrap();
        content.windows(MARKER.len()).any(|part| part == MARKER.as_bytes())
    };
    files.filter(readable).collect()
}

#[tokio::test]
async fn no_file_of_the_store_ever_shows_a_mail() {
    let (folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.submit(secret_job(1)).await.unwrap();
    let changes = Changeset { jobs: vec![secret_job(2)], ..Changeset::new(START) };
    store.commit(changes).await.unwrap();

    assert_eq!(files_with_marker(&folder), [] as [PathBuf; 0], "before they are sent");
    let claimed = claim(&store, 9).await;
    assert!(claimed.iter().all(|one| one.mail == secret_job(1).mail));
    assert_eq!(claimed.len(), 2);
    for Claimed { lease, job, .. } in claimed {
        let settlement = failed(&job);
        store.settle(lease, settlement).await.unwrap();
    }
    assert_eq!(files_with_marker(&folder), [] as [PathBuf; 0], "after they were sent");
    store.close().await;
    assert_eq!(files_with_marker(&folder), [] as [PathBuf; 0], "in the closed store");
}

#[tokio::test]
async fn a_mail_that_an_older_version_stored_is_still_read() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.submit(secret_job(1)).await.unwrap();
    let mut connection = open::connect(&open::writer_options(&path)).await.unwrap();
    let sql = "UPDATE mail_bodies SET mail = ?, sealed = NULL";
    let mail = crate::rows::mail_to(&secret_job(1).mail);
    sqlx::query(sql).bind(mail).execute(&mut connection).await.unwrap();
    let sql = "UPDATE mail_attachments SET content = ?, sealed = FALSE";
    let content = secret_job(1).mail.attachments.remove(0).content;
    sqlx::query(sql).bind(content).execute(&mut connection).await.unwrap();

    let claimed = claim(&store, 9).await.remove(0);

    assert!(claimed.mail == secret_job(1).mail, "{:?}", claimed.mail);
}

#[tokio::test]
async fn a_mail_that_was_put_into_another_job_is_not_sent_but_all_others_are() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    for number in 1..=3 {
        store.submit(secret_job(number)).await.unwrap();
    }
    let mut connection = open::connect(&open::writer_options(&path)).await.unwrap();
    let sql = "UPDATE mail_bodies SET sealed = (SELECT sealed FROM mail_bodies WHERE job = ?) \
               WHERE job = ?";
    let swap = sqlx::query(sql).bind(crate::rows::id_to(job(1).id));
    swap.bind(crate::rows::id_to(job(2).id)).execute(&mut connection).await.unwrap();

    let claimed = claim(&store, 9).await;

    let ids: Vec<_> = claimed.iter().map(|one| one.job.id).collect();
    assert_eq!(ids, [job(1).id, job(3).id]);
}

#[tokio::test]
async fn a_store_with_mails_under_another_key_is_refused_with_what_to_do() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.submit(job(1)).await.unwrap();
    store.close().await;

    let Err(refused) = SqliteJobStore::open(&path, sealer("other")).await else {
        panic!("it was opened")
    };

    let OpenError::Keys { source, .. } = &refused else { panic!("{refused:?}") };
    assert!(refused.to_string().starts_with("the mails in `"), "{refused}");
    for part in ["key `key`", "`keys.file`"] {
        assert!(source.to_string().contains(part), "{source}");
    }
    let store = opened(&path).await.unwrap();
    assert_eq!(claim(&store, 9).await.len(), 1);
}

#[tokio::test]
async fn a_new_first_key_writes_nothing_before_it_is_noted() {
    let (_folder, path) = folder();
    opened(&path).await.unwrap().close().await;

    let keys = Arc::new(TestKeys::new(&["new", "key"]));
    let store = SqliteJobStore::open(&path, Arc::<TestKeys>::clone(&keys)).await.unwrap();
    store.submit(job(1)).await.unwrap();
    store.close().await;

    let store = opened(&path).await.unwrap();
    assert_eq!(claim(&store, 9).await.len(), 1, "whoever has only the old key can read it");
}
