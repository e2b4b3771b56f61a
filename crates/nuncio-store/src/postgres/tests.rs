use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::conformance::sealer::{TestKeys, TestSealer};
use nuncio_core::job::{CallerId, JobState, Reason, RequestKey};
use nuncio_core::mail::{Mail, Recipient, RecipientKind};
use nuncio_core::retry::Decision;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::*;
use crate::postgres::clock::Told;

mod claim_plan;
mod lost_commit;
mod primary;
mod sealed;
mod upgrade;

nuncio_core::job_store_conformance!(async {
    let store = opened(&database("conformance").await).await.unwrap();
    (store, ())
});

nuncio_core::record_store_conformance!(async {
    let store = opened(&database("conformance").await).await.unwrap();
    (store, ())
});

nuncio_core::sealed_mails_conformance!(async {
    let keys = Arc::new(TestKeys::new(&["old"]));
    let url = database("sealed").await;
    let store = PostgresJobStore::open(&url, Arc::<TestKeys>::clone(&keys)).await.unwrap();
    (store, keys, ())
});

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
/// How long a test waits for what another node or a new connection brings.
const SOON: Duration = Duration::from_secs(20);

/// Opens the store with the key of most tests.
async fn opened(url: &PostgresUrl) -> Result<PostgresJobStore, OpenError> {
    PostgresJobStore::open(url, sealer("key")).await
}

fn sealer(key: &'static str) -> Arc<dyn Sealers> {
    Arc::new(TestSealer(key))
}

/// Where the tests may make schemas: `cargo xtask test` runs a server for them.
fn server() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the only way from the command that runs the tests to a test"
    )]
    let file = std::env::var("NUNCIO_TEST_SERVERS")
        .unwrap_or_else(|_unset| panic!("run `cargo xtask test`"));
    let lines = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("cannot read `{file}`: {error}"));
    let url = lines.lines().find_map(|line| line.strip_prefix("POSTGRES_URL="));
    url.unwrap_or_else(|| panic!("run `cargo xtask test`")).to_owned()
}

async fn database(name: &str) -> PostgresUrl {
    schema(name).await.parse().unwrap()
}

/// The URL of an empty schema that only this test knows.
async fn schema(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("{name}_{}_{count}", std::process::id());
    let mut connection = admin().await;
    execute(&mut connection, &format!("CREATE SCHEMA {schema}")).await;
    format!("{}?options[search_path]={schema}&application_name={schema}", server())
}

async fn admin() -> PgConnection {
    PgConnection::connect(&server()).await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Ends all connections of a store but for this one, as a restart of the server does.
async fn kill_connections(url: &PostgresUrl) {
    let sql = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = $1 AND pid <> pg_backend_pid()";
    let name = url.hosts()[0].get_application_name().unwrap().to_owned();
    let killed: i64 =
        sqlx::query_scalar(sql).bind(name).fetch_one(&mut admin().await).await.unwrap();
    assert!(0 < killed, "the store has connections");
}

fn job(number: u8) -> NewJob {
    let address: EmailAddress = "guest@example.com".parse().unwrap();
    let mail = Mail {
        from: None,
        reply_to: None,
        other_senders: Vec::new(),
        references: Vec::new(),
        recipients: vec![Recipient { mailbox: address.into(), kind: RecipientKind::To }],
        subject: "Welcome".to_owned(),
        text: Some("the password is Tr0ub4dor".to_owned().into()),
        html: None,
        attachments: Vec::new(),
        template: None,
    };
    let request_id = number.to_string();
    let fingerprint = [number; 32];
    NewJob {
        id: MailJobId::new(START, [number; 10]),
        request: Some(RequestKey { caller: CallerId("tests".to_owned()), request_id, fingerprint }),
        class: MailClass::Bulk,
        mail,
        message_id: format!("<{number}@nuncio.example>"),
        created_at: START,
        due_at: START,
        expires_at: START + Duration::from_hours(1),
        labels: BTreeMap::new(),
        trace: None,
    }
}

fn claim_of(holder: &str, limit: u32) -> Claim {
    Claim {
        holder: Incarnation(holder.to_owned()),
        now: START,
        until: START + Duration::from_mins(1),
        limit,
        patient_max: limit,
        into_body: false,
        except: Vec::new(),
    }
}

async fn claim(store: &PostgresJobStore, holder: &str, limit: u32) -> Vec<Claimed> {
    store.claim(claim_of(holder, limit)).await.unwrap()
}

fn sent(job: &Job, detail: &str) -> Settlement {
    let recipients = job.recipients.clone();
    let (state, due_at) = (JobState::Sent, START);
    let reason = Some(Reason::new("SENT", detail));
    let decision = Decision { state, reason, due_at, recipients, counted: true };
    let (outcome, detail) = ("SENT".to_owned(), detail.to_owned());
    let attempt =
        Attempt { started_at: START, ended_at: START, outcome, detail, counted: true, used: None };
    Settlement { decision, attempt: Some(attempt), settings_generation: None, now: START }
}

#[tokio::test]
async fn two_nodes_share_the_jobs_and_none_gets_one_twice() {
    let url = database("share").await;
    let (one, two) = (opened(&url), opened(&url));
    let (one, two) = tokio::join!(one, two);
    let (one, two) = (one.unwrap(), two.unwrap());
    for _writer in 0..3 {
        // All writers connect, so that the claims really meet.
        assert!(claim(&one, "n", 1).await.is_empty() && claim(&two, "n", 1).await.is_empty());
    }
    join_all((1..=100).map(|number| one.submit(job(number)))).await;

    let claims =
        join_all((0..20).map(|turn| claim(if turn % 2 == 0 { &one } else { &two }, "n", 10)));
    let mut ids: Vec<_> = claims.await.into_iter().flatten().map(|one| one.job.id).collect();
    while let more @ [_, ..] = &claim(&two, "n", 10).await[..] {
        ids.extend(more.iter().map(|one| one.job.id));
    }

    let mut submitted: Vec<_> = (1..=100).map(|number| job(number).id).collect();
    ids.sort();
    submitted.sort();
    assert_eq!(ids, submitted);
}

#[tokio::test]
async fn of_submits_with_one_request_id_at_two_nodes_one_is_stored() {
    let url = database("request").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();

    let submits = (0..40_u8).map(|turn| {
        let store = if turn % 2 == 0 { &one } else { &two };
        let id = MailJobId::new(START, [turn; 10]);
        store.submit(NewJob { id, ..job(turn / 8) })
    });
    let submitted = join_all(submits).await;

    let is_new = |one: &&Result<Submitted, _>| matches!(one, Ok(Submitted::New(_)));
    assert!(submitted.iter().all(Result::is_ok), "{submitted:?}");
    assert_eq!(submitted.iter().filter(is_new).count(), 5);
    assert_eq!(one.backlog().await.unwrap().queued, 5);
}

#[tokio::test]
async fn a_change_at_one_node_wakes_those_who_wait_at_another() {
    let url = database("wake").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();
    let mut changed = two.changed();
    changed.borrow_and_update();

    one.submit(job(1)).await.unwrap();

    tokio::time::timeout(SOON, changed.changed()).await.expect("it is woken").unwrap();
    assert_eq!(two.changes(ChangeSeq(0), None, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn records_of_one_node_wake_those_who_wait_for_them_at_another() {
    let url = database("wake_records").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();
    let mut of_two = two.records_changed();
    let put = |id: &str| Write::Put {
        key: RecordKey::new(RecordKind("guest"), id),
        expected: Expected::Any,
        owner: None,
        due_at: None,
        content: "{}".to_owned(),
    };

    let mut told = false;
    for number in 0..50 {
        // Until the other one listens, nobody is told.
        let writes = vec![put(&format!("guest-{number}"))];
        one.commit(Changeset { writes, ..Changeset::new(START) }).await.unwrap();
        told = tokio::time::timeout(SOON / 50, of_two.changed()).await.is_ok();
        if told {
            break;
        }
    }

    assert!(told, "the other node is told");
}

#[tokio::test]
async fn changes_of_two_nodes_become_visible_in_their_order() {
    let url = database("order").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();
    let submits = join_all((0..200_u8).map(|number| {
        let store = if number % 2 == 0 { &one } else { &two };
        store.submit(job(number))
    }));
    let follow = async {
        let (mut seen, mut after) = (0, ChangeSeq(0));
        while seen < 200 {
            for change in one.changes(after, None, 50).await.unwrap() {
                assert_eq!(change.seq, ChangeSeq(after.0 + 1), "no place is left out");
                (seen, after) = (seen + 1, change.seq);
            }
        }
    };

    let (submitted, ()) = tokio::join!(submits, follow);

    assert!(submitted.iter().all(Result::is_ok));
}

#[tokio::test]
async fn killed_connections_are_replaced_and_nothing_accepted_is_lost() {
    let url = database("killed").await;
    let store = opened(&url).await.unwrap();
    let mut accepted = Vec::new();
    for round in 0..5_u8 {
        let numbers = round * 40..(round + 1) * 40;
        let submits = join_all(numbers.clone().map(|number| store.submit(job(number))));
        let (submitted, ()) = tokio::join!(submits, kill_connections_after_first(&url, &store));
        for (number, submitted) in numbers.zip(submitted) {
            match submitted {
                Ok(_) => accepted.push(number),
                Err(SubmitError::Store(StoreError::Unusable(_))) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    // The same once more: whatever was said before, each is there once.
    let again = join_all((0..200).map(|number| store.submit(job(number)))).await;

    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(store.backlog().await.unwrap().queued, 200);
    for number in accepted {
        let again = again[usize::from(number)].as_ref().unwrap();
        assert!(matches!(again, Submitted::Existing(_)), "job {number} was accepted and lost");
    }
}

async fn kill_connections_after_first(url: &PostgresUrl, store: &PostgresJobStore) {
    store.backlog().await.ok();
    kill_connections(url).await;
}

#[tokio::test]
async fn a_store_whose_connections_were_killed_hears_of_changes_again() {
    let url = database("deaf").await;
    let one = opened(&url).await.unwrap();
    let two = opened(&url).await.unwrap();
    let mut changed = two.changed();
    changed.borrow_and_update();
    one.submit(job(1)).await.unwrap();
    tokio::time::timeout(SOON, changed.changed()).await.expect("it is woken").unwrap();
    kill_connections(&url).await;

    one.submit(job(2)).await.unwrap();

    tokio::time::timeout(SOON, changed.changed()).await.expect("it is woken").unwrap();
}

#[tokio::test]
async fn what_a_server_says_with_a_nul_is_recorded() {
    let store = opened(&database("nul").await).await.unwrap();
    store.submit(job(1)).await.unwrap();
    let claimed = claim(&store, "a", 1).await.remove(0);
    let settlement = sent(&claimed.job, "250 o\0k");

    store.settle(claimed.lease, settlement).await.unwrap();

    let recorded = store.attempts(job(1).id, 1).await.unwrap();
    assert_eq!(recorded[0].detail, "250 o\u{fffd}k");
}

#[tokio::test]
async fn the_mail_is_gone_when_its_job_has_ended() {
    let url = database("gone").await;
    let store = opened(&url).await.unwrap();
    store.submit(job(1)).await.unwrap();
    let claimed = claim(&store, "a", 1).await.remove(0);
    let settlement = sent(&claimed.job, "250 ok");
    store.settle(claimed.lease, settlement).await.unwrap();

    let sql = "SELECT COUNT(*) FROM mail_bodies";
    let left: i64 = sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap();
    assert_eq!(left, 0);
    store.prune(START + Duration::from_secs(1), 9).await.unwrap();
    for table in ["mail_jobs", "mail_attempts", "request_keys", "mail_job_changes"] {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let left: i64 = sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap();
        assert_eq!(left, 0, "{table}");
    }
}

#[tokio::test]
async fn nodes_whose_machines_disagree_about_the_time_leave_each_other_their_mails() {
    let url = database("disagreeing").await;
    let (right, ahead) = (opened(&url).await.unwrap(), opened(&url).await.unwrap());
    let now = right.clock().now();
    let wrong = now + Duration::from_mins(10);
    ahead.signals.clock.learn(Told::answer(wrong, Instant::now()));
    let expires_at = now + Duration::from_hours(1);
    right.submit(NewJob { due_at: now, expires_at, ..job(1) }).await.unwrap();
    let until = now + Duration::from_mins(5);
    let claim = Claim { now, until, ..claim_of("right", 1) };
    assert_eq!(right.claim(claim).await.unwrap().len(), 1);

    signals::look_once(&ahead.readers, &ahead.signals).await.unwrap();

    let rescued = ahead.rescue(Dead::LeaseEnded, ahead.clock().now()).await.unwrap();
    assert_eq!(rescued, []);
    let by_the_wrong_time = ahead.rescue(Dead::LeaseEnded, wrong).await.unwrap();
    assert_eq!(by_the_wrong_time.len(), 1, "or this test shows nothing");
}

#[tokio::test]
async fn closing_serves_those_who_wait_and_refuses_those_who_come_later() {
    let url = database("closing").await;
    let store = opened(&url).await.unwrap();
    let submits = join_all((1..=50).map(|number| store.submit(job(number))));

    let (submitted, ()) = tokio::join!(biased; submits, store.close());

    assert!(submitted.iter().all(Result::is_ok));
    assert!(matches!(store.submit(job(99)).await, Err(SubmitError::Store(_))));
    let store = opened(&url).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().queued, 50);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_not_touched() {
    let url = database("newer").await;
    let store = opened(&url).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (999, 'from the future', TRUE, ''::BYTEA, 0)";
    sqlx::query(newer).execute(&store.readers).await.unwrap();

    check_refused(&url, &["newer nuncio", "schema 999"]).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_named_with_what_to_do() {
    let server = server();
    let (_scheme, rest) = server.split_once("://").unwrap();
    let (login, address) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    for (url, expect) in [
        (format!("postgres://{user}:hunter2@{address}"), "check user, password"),
        (format!("postgres://{user}:{password}@{address}_is_not_there"), "check user, password"),
        (format!("postgres://{user}:{password}@127.0.0.1:1/jobs"), "does not answer"),
        (format!("postgres://{user}:{password}@{address}?sslmode=require"), "see `sslmode`"),
    ] {
        check_refused(&url.parse().unwrap(), &[&format!("`postgres://{user}@"), expect]).await;
    }
}

async fn check_refused(url: &PostgresUrl, expect: &[&str]) {
    let Err(refused) = opened(url).await else { panic!("it was opened") };

    let message = refused.to_string();
    for part in expect {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
}
