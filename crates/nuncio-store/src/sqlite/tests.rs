use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use nuncio_core::class::MailClass;
use nuncio_core::conformance::sealer::{TestKeys, TestSealer};
use nuncio_core::job::{JobState, Reason};
use nuncio_core::mail::{Attachment, Mail, Recipient, RecipientKind};
use nuncio_core::retry::Decision;
use tempfile::TempDir;

use super::open::Limits;
use super::*;
use crate::write::RecordNews;
use crate::write::engine::Engine;

mod sealed;

nuncio_core::job_store_conformance!(async {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder.path().join("jobs.db")).await.unwrap();
    (store, folder)
});

nuncio_core::record_store_conformance!(async {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder.path().join("jobs.db")).await.unwrap();
    (store, folder)
});

nuncio_core::sealed_mails_conformance!(async {
    let (folder, path) = folder();
    let keys = Arc::new(TestKeys::new(&["old"]));
    let store = SqliteJobStore::open(&path, Arc::<TestKeys>::clone(&keys)).await.unwrap();
    (store, keys, folder)
});

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Opens the store with the key of most tests.
async fn opened(path: &Path) -> Result<SqliteJobStore, OpenError> {
    SqliteJobStore::open(path, sealer("key")).await
}

fn sealer(key: &'static str) -> Arc<dyn Sealers> {
    Arc::new(TestSealer(key))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    (folder, path)
}

fn job(number: u8) -> NewJob {
    let mail = Mail {
        from: None,
        reply_to: None,
        other_senders: Vec::new(),
        references: Vec::new(),
        recipients: vec![Recipient {
            mailbox: "guest@example.com"
                .parse::<nuncio_core::address::EmailAddress>()
                .unwrap()
                .into(),
            kind: RecipientKind::To,
        }],
        subject: "Welcome".to_owned(),
        text: Some("the password is Tr0ub4dor".to_owned().into()),
        html: None,
        attachments: Vec::new(),
        template: None,
    };
    NewJob {
        id: MailJobId::new(START, [number; 10]),
        request: None,
        class: MailClass::Bulk,
        mail,
        message_id: format!("<{number}@nuncio.example>"),
        created_at: START,
        due_at: START,
        expires_at: START + Duration::from_hours(1),
        labels: std::collections::BTreeMap::new(),
        trace: None,
    }
}

fn large_job(number: u8) -> NewJob {
    let mut job = job(number);
    let (file_name, content_type) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
    job.mail.attachments = vec![Attachment { file_name, content_type, content: vec![7; 40_000] }];
    job
}

async fn claim(store: &SqliteJobStore, limit: u32) -> Vec<Claimed> {
    let holder = Incarnation("node".to_owned());
    let until = START + Duration::from_mins(1);
    store
        .claim(Claim {
            holder,
            now: START,
            until,
            limit,
            patient_max: limit,
            into_body: false,
            except: Vec::new(),
        })
        .await
        .unwrap()
}

fn failed(job: &Job) -> Settlement {
    let reason = Some(Reason::new("PROVIDER_REFUSED", "refused"));
    let recipients = job.recipients.clone();
    let decision =
        Decision { state: JobState::Failed, reason, due_at: START, recipients, counted: true };
    let (outcome, detail) = ("PROVIDER_REFUSED".to_owned(), String::new());
    let attempt =
        Attempt { started_at: START, ended_at: START, outcome, detail, counted: true, used: None };
    Settlement { decision, attempt: Some(attempt), settings_generation: None, now: START }
}

async fn check_refused(path: &Path, expect: &[&str]) {
    let Err(refused) = opened(path).await else { panic!("it was opened") };

    let message = refused.to_string();
    for part in expect {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.submit(job(1)).await.unwrap();
    let lease = claim(&store, 1).await.remove(0).lease;
    store.enter_body(&lease).await.unwrap();
    store.submit(job(2)).await.unwrap();
    let last = store.last_change().await.unwrap();
    store.close().await;

    let store = opened(&path).await.unwrap();

    assert_eq!(store.last_change().await.unwrap(), last);
    assert_eq!(claim(&store, 9).await.len(), 1);
    let dead = Dead::AllBut(Incarnation("next".to_owned()));
    assert_eq!(store.rescue(dead, START).await.unwrap().len(), 2);
    let rescued = store.get(lease.job).await.unwrap().unwrap();
    assert_eq!(rescued.state, JobState::Unknown, "it is known that the body went out");
}

#[tokio::test]
async fn a_store_that_was_dropped_has_lost_nothing() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    join_all((1..=50).map(|number| store.submit(job(number)))).await;
    drop(store);

    let store = opened(&path).await.unwrap();

    assert_eq!(store.backlog().await.unwrap().queued, 50);
}

#[tokio::test]
async fn closing_serves_those_who_wait_and_refuses_those_who_come_later() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    let submits = join_all((1..=50).map(|number| store.submit(job(number))));

    let (submitted, ()) = tokio::join!(biased; submits, store.close());

    assert!(submitted.iter().all(Result::is_ok));
    assert!(matches!(store.submit(job(99)).await, Err(SubmitError::Store(_))));
    let store = opened(&path).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().queued, 50);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_store_is_in_use() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();

    check_refused(&path, &["another nuncio runs on this data folder", "jobs.db.lock"]).await;

    store.close().await;
    assert!(opened(&path).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_store_is_named_with_what_to_do() {
    let (_folder, path) = folder();
    fs::write(&path, "this is no database, but it is long enough to be taken for one".repeat(20))
        .unwrap();

    check_refused(&path, &["jobs.db` is damaged", "restore a backup", "move it"]).await;
}

#[tokio::test]
async fn a_store_with_damaged_pages_is_not_used() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    join_all((1..=100).map(|number| store.submit(job(number)))).await;
    store.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16 * 1024].fill(0xa5);
    fs::write(&path, bytes).unwrap();

    check_refused(&path, &["jobs.db` is damaged"]).await;
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_not_touched() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.close().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (999, 'from the future', TRUE, x'00', 0)";
    let pool = SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(&path));
    let pool = pool.await.unwrap();
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;

    check_refused(&path, &["newer nuncio", "schema 999"]).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();

    let inside_a_file = path.join("jobs.db");
    let expect = inside_a_file.display().to_string();
    check_refused(&inside_a_file, &[&expect, "cannot be written"]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_the_store() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, path) = folder();
    let store = opened(&path).await.unwrap();
    store.submit(job(1)).await.unwrap();

    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 4, "the file, its log, its index and its lock");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn the_mail_is_gone_when_its_job_has_ended() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    for (number, how) in (1..).zip(["settled", "cancelled", "expired"]) {
        store.submit(large_job(number)).await.unwrap();
        let id = large_job(number).id;
        match how {
            "settled" => {
                let claimed = claim(&store, 1).await.remove(0);
                let settlement = failed(&claimed.job);
                store.settle(claimed.lease, settlement).await.unwrap();
            }
            "cancelled" => drop(store.cancel(id, START).await.unwrap()),
            _ => drop(store.expire(START + Duration::from_hours(2), 9).await.unwrap()),
        }
        assert!(store.get(id).await.unwrap().unwrap().state.is_final(), "{how}");
        for table in ["mail_bodies", "mail_attachments"] {
            let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let left: i64 = sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap();
            assert_eq!(left, 0, "{table} after it was {how}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_jobs_and_takes_them_again_when_there_is_room() {
    let (_folder, path) = folder();
    let limits = Limits { pages_max: Some(200) };
    let store = open::open(&path, sealer("key"), limits).await.unwrap();
    let results = join_all((1..=40).map(|number| store.submit(large_job(number)))).await;
    let mut stored = results.iter().filter(|one| one.is_ok()).count();
    let mut number = 40;
    let refused = loop {
        number += 1;
        match store.submit(large_job(number)).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, SubmitError::Store(StoreError::Full(_))), "{refused:?}");
    assert_eq!(store.get(large_job(number).id).await.unwrap(), None);
    assert_eq!(store.backlog().await.unwrap().queued, stored as u64, "the others are there");

    let some = store.list(&JobQuery { limit: 10, ..JobQuery::default() }).await.unwrap().jobs;
    for one in some {
        store.cancel(one.id, START).await.unwrap();
    }

    assert!(matches!(store.submit(large_job(200)).await, Ok(Submitted::New(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_of_all_kinds_at_once_do_not_disturb_each_other() {
    let (_folder, path) = folder();
    let store = &opened(&path).await.unwrap();
    let life = |number: u8| async move {
        store.submit(job(number)).await.unwrap();
        let claimed = claim(store, 1).await.remove(0);
        store.extend(&claimed.lease, START + Duration::from_mins(5)).await.unwrap();
        store.enter_body(&claimed.lease).await.unwrap();
        let stale = Lease { job: claimed.lease.job, fence: claimed.lease.fence - 1 };
        assert!(store.settle(stale, failed(&claimed.job)).await.is_err());
        let twice = Lease { job: claimed.lease.job, fence: claimed.lease.fence };
        let (one, two) = tokio::join!(
            store.settle(claimed.lease, failed(&claimed.job)),
            store.settle(twice, failed(&claimed.job)),
        );
        assert!(one.is_ok() != two.is_ok(), "a lease settles once: {one:?}, {two:?}");
        store.expire(START, 10).await.unwrap();
        store.rescue(Dead::LeaseEnded, START).await.unwrap();
    };

    join_all((1..=100).map(life)).await;

    let jobs = store.list(&JobQuery { limit: 200, ..JobQuery::default() }).await.unwrap().jobs;
    assert_eq!(jobs.len(), 100);
    assert!(jobs.iter().all(|job| (job.state, job.attempts) == (JobState::Failed, 1)));
    assert_eq!(store.changes(ChangeSeq(0), None, 1000).await.unwrap().len(), 300);
    for job in jobs {
        assert_eq!(store.attempts(job.id, 9).await.unwrap().len(), 1, "one settlement counts");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_no_other_from_being_sent() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    join_all((1..=4).map(|number| store.submit(job(number)))).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let pool = SqlitePool::connect_with(options).await.unwrap();
    for (sql, number) in [
        ("UPDATE mail_bodies SET sealed = x'7b' WHERE job = ?", 1),
        ("UPDATE mail_jobs SET recipients = '[{}]' WHERE id = ?", 2),
    ] {
        let id = crate::rows::id_to(job(number).id);
        sqlx::query(sql).bind(id).execute(&pool).await.unwrap();
    }
    pool.close().await;

    let all = JobQuery { limit: 9, ..JobQuery::default() };
    assert_eq!(store.list(&all).await.unwrap().jobs.len(), 3);
    assert_eq!(store.changes(ChangeSeq(0), None, 9).await.unwrap().len(), 3);
    assert!(store.get(job(2).id).await.is_err(), "who asks for it is told");
    let claimed = claim(&store, 9).await;

    let ids: Vec<_> = claimed.iter().map(|one| one.job.id).collect();
    assert_eq!(ids, [job(3).id, job(4).id]);
    let dead = Dead::AllBut(Incarnation("next".to_owned()));
    assert_eq!(
        store.rescue(dead, START).await.unwrap().len(),
        3,
        "all but the job without recipients"
    );
    assert_eq!(claim(&store, 9).await.len(), 2);
}

#[tokio::test]
async fn many_writes_share_a_commit() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    let mut changed = store.changed();
    changed.borrow_and_update();
    let count_commits = async {
        let mut commits = 0;
        while store.backlog().await.unwrap().queued < 200 {
            changed.changed().await.unwrap();
            commits += 1;
        }
        commits
    };

    let (commits, submitted) =
        tokio::join!(count_commits, join_all((1..=200).map(|number| store.submit(job(number)))));

    assert!(submitted.iter().all(Result::is_ok));
    assert!(commits <= 20, "{commits} commits for 200 submits");
}

#[tokio::test]
async fn a_write_that_fails_harms_none_of_its_group() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    let job = |number| NewJob { request: None, ..job(number) };
    store.submit(job(1)).await.unwrap();
    let mut changed = store.changed();
    changed.borrow_and_update();

    let answers = join_all([2, 1, 3].map(|number| store.submit(job(number)))).await;

    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(changed.has_changed().unwrap());
    assert_eq!(store.backlog().await.unwrap().queued, 3);
    assert_eq!(claim(&store, 9).await.len(), 3);
}

#[tokio::test]
async fn a_writer_that_lost_its_connection_opens_another() {
    let (_folder, path) = folder();
    opened(&path).await.unwrap().close().await;
    let options = open::writer_options(&path);
    let connection = open::connect(&options).await.unwrap();
    let mut engine = SqliteEngine::new(options, connection, watch::Sender::new(()));
    engine.begin().await.unwrap();
    engine.roll_back(&sqlx::Error::WorkerCrashed).await;
    assert!(!engine.is_connected());
    let writer = Writer::start([engine], RecordNews::of_this_node());

    let submitted = writer.write(Submit::new(job(1), Arc::new(TestSealer("key")))).await.unwrap();

    writer.close().await;
    let store = opened(&path).await.unwrap();
    assert!(matches!(submitted, Submitted::New(_)));
    assert_eq!(store.backlog().await.unwrap().queued, 1);
}

#[tokio::test]
async fn what_writes_many_rows_looks_only_into_indexes() {
    let (_folder, path) = folder();
    opened(&path).await.unwrap().close().await;
    let mut connection = open::connect(&open::writer_options(&path)).await.unwrap();
    let steps = values::values(2, stage::STEP_COLUMNS);
    let steps = format!("{}{steps}{}", stage::STEPS_OF, stage::STEPS_THAT_FIT);
    let claims = [claim::Except::None, claim::Except::Some].map(claim::due);
    let texts = [steps, stage::CLAIM.into(), stage::STEP.into(), stage::SUBMIT.into()];
    let texts = [&claims[..], &texts].concat();
    for sql in texts.iter().flat_map(|text| text.split(';')).filter(|sql| !sql.trim().is_empty()) {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(plan).fetch_all(&mut connection).await.unwrap();
        for (.., step) in plan {
            let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            let stored = |table: &str| {
                table.starts_with("mail_") || ["request_keys", "j", "k", "a", "b"].contains(&table)
            };
            assert!(!scanned.is_some_and(stored), "{step}: {sql}");
            assert!(!step.contains("ORDER BY"), "no sorting: {step}: {sql}");
        }
    }
}

#[test]
fn the_conditions_of_the_indexes_name_the_states_of_the_domain() {
    for state in JobState::ALL {
        let name = format!("'{}'", state.name());
        assert_eq!(crate::rows::waiting!().contains(&name), state.is_waiting(), "{name}");
        assert_eq!(crate::rows::ended!().contains(&name), state.is_final(), "{name}");
    }
}

/// On it relies the order in which a claim looks for jobs.
#[test]
fn no_patient_class_is_more_urgent_than_one_that_is_not() {
    let patient = MailClass::ALL.map(MailClass::is_patient);
    assert!(patient.is_sorted(), "{:?}", MailClass::ALL);
    assert!(patient.contains(&true) && patient.contains(&false));
}

#[tokio::test]
async fn what_runs_often_looks_only_into_indexes() {
    let (_folder, path) = folder();
    let store = opened(&path).await.unwrap();
    let waiting = crate::rows::waiting!();
    let ended = crate::rows::ended!();
    for (sql, index) in [
        (
            format!(
                "SELECT id FROM mail_jobs WHERE {waiting} AND class = 'bulk' AND due_at_us <= 9 AND expires_at_us > 9 ORDER BY due_at_us, id LIMIT 5"
            ),
            "mail_jobs_waiting",
        ),
        (
            format!(
                "SELECT id FROM mail_jobs WHERE {waiting} AND expires_at_us <= 9 ORDER BY expires_at_us LIMIT 5"
            ),
            "mail_jobs_expiring",
        ),
        (
            format!(
                "SELECT id FROM mail_jobs WHERE {ended} AND updated_at_us < 9 ORDER BY updated_at_us LIMIT 5"
            ),
            "mail_jobs_ended",
        ),
        (
            "SELECT id FROM mail_jobs WHERE state = 'SENDING' AND lease_until_us <= 9".to_owned(),
            "mail_jobs_leased",
        ),
        (
            "SELECT id FROM mail_jobs WHERE state = 'HELD' AND due_at_us > 9".to_owned(),
            "mail_jobs_held",
        ),
        (
            "SELECT id FROM mail_jobs WHERE state = 'UNKNOWN' AND expires_at_us <= 9".to_owned(),
            "mail_jobs_unknown",
        ),
        (
            "SELECT id FROM mail_jobs WHERE TRUE AND id < x'09' AND id >= x'01' ORDER BY id DESC LIMIT 2 OFFSET 9".to_owned(),
            "sqlite_autoindex_mail_jobs_1",
        ),
        (
            "SELECT labels FROM mail_jobs WHERE TRUE AND id < x'09' AND id >= x'01' AND id >= x'02' AND state IN ('FAILED') AND instr(labels, 'x') > 0 ORDER BY id DESC LIMIT 9".to_owned(),
            "sqlite_autoindex_mail_jobs_1",
        ),
        (
            "SELECT id FROM records WHERE kind = 'a' AND due_at_us <= 9 AND (due_at_us, id) > (1, 'b') ORDER BY due_at_us, id LIMIT 5".to_owned(),
            "records_due",
        ),
        (
            "SELECT MIN(due_at_us) FROM records WHERE kind = 'a' AND due_at_us IS NOT NULL".to_owned(),
            "records_due",
        ),
        (
            "SELECT id FROM records WHERE kind = 'a' AND id > 'b' AND owner = 'c' ORDER BY id LIMIT 5".to_owned(),
            "records_owned",
        ),
        (
            "SELECT id FROM records WHERE kind = 'a' AND id > 'b' ORDER BY id LIMIT 5".to_owned(),
            "sqlite_autoindex_records_1",
        ),
    ] {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(plan).fetch_all(&store.readers).await.unwrap();
        let steps: Vec<_> = steps.into_iter().map(|step| step.3).collect();
        assert_eq!(steps.len(), 1, "no sorting, no second table: {steps:?}");
        assert!(steps[0].starts_with("SEARCH") && steps[0].contains(index), "{steps:?}");
    }
}

#[test]
fn no_statement_is_compiled_anew_for_its_limit() {
    let sources = [
        include_str!("claim.rs"),
        include_str!("end.rs"),
        include_str!("read.rs"),
        include_str!("records.rs"),
    ];
    for bare in ["LIMIT ?", "LIMIT {", "OFFSET ?", "LIMIT \")", "OFFSET \")"] {
        assert!(sources.iter().all(|source| !source.contains(bare)), "`{bare}`");
    }
}
