//! The service over a store in memory.

use futures::stream;
use jiff::Timestamp;
use nuncio_api::convert::time::timestamp;
use nuncio_api::error::reason;
use nuncio_directory::follow_up::AtExpiry;
use nuncio_runtime::clock::TestClock;
use nuncio_store::memory::MemoryJobStore;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;

fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

fn api() -> DirectoryApi {
    let records = Arc::new(MemoryJobStore::default());
    let directory = Directory { records, follow_up: Arc::new(AtExpiry) };
    DirectoryApi::new(directory, Arc::new(TestClock::starting_at(now())), CancellationToken::new())
}

fn guest(id: &str) -> v1::Guest {
    let end = "2026-04-01T10:00:00Z".parse().unwrap();
    v1::Guest {
        name: format!("guests/{id}"),
        email: "erika@example.com".to_owned(),
        valid_to_time: Some(timestamp(end)),
        ..v1::Guest::default()
    }
}

async fn save(api: &DirectoryApi, guest: v1::Guest) -> Result<v1::Guest, Status> {
    let update = Update { given: guest, mask: None, allow_missing: true, validate_only: false };
    api.update::<Guest>(update).await
}

#[track_caller]
fn check_reason<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, expected: &str) {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (code, Some(expected)), "{status}");
}

#[tokio::test]
async fn a_guest_is_made_found_changed_and_removed() {
    let api = api();
    let made = save(&api, guest("erika")).await.unwrap();
    assert_eq!(made.state(), v1::GuestState::Created);
    assert_eq!(api.get::<Guest>("guests/erika").await.unwrap(), made);

    let same = save(&api, guest("erika")).await.unwrap();
    assert_eq!(same, made, "nothing was written");
    let company = v1::Guest { company: "Acme".to_owned(), ..made.clone() };
    let changed = save(&api, company).await.unwrap();
    assert_eq!((changed.company.as_str(), &changed.email), ("Acme", &made.email));
    assert_ne!(changed.etag, made.etag);

    api.delete::<Guest>("guests/erika", &changed.etag, false).await.unwrap();
    check_reason(api.get::<Guest>("guests/erika").await, Code::NotFound, "GUEST_NOT_FOUND");
    api.delete::<Guest>("guests/erika", "", true).await.unwrap();
    let gone = api.delete::<Guest>("guests/erika", "", false).await;
    check_reason(gone, Code::NotFound, "GUEST_NOT_FOUND");
}

#[tokio::test]
async fn a_change_with_the_etag_of_an_earlier_state_is_refused() {
    let api = api();
    let made = save(&api, guest("erika")).await.unwrap();
    let changed =
        save(&api, v1::Guest { company: "Acme".to_owned(), ..guest("erika") }).await.unwrap();
    let stale = save(&api, v1::Guest { company: "Other".to_owned(), ..made.clone() }).await;
    let details = stale.as_ref().unwrap_err().get_details_error_info().unwrap();
    assert_eq!(details.metadata["etag"], changed.etag);
    check_reason(stale, Code::Aborted, "ETAG_MISMATCH");
    let suspend = GuestAction::Suspend { reason: String::new() };
    let acted = api.act("guests/erika", &made.etag, suspend).await;
    check_reason(acted, Code::Aborted, "ETAG_MISMATCH");
    let removed = api.delete::<Guest>("guests/erika", &made.etag, true).await;
    check_reason(removed, Code::Aborted, "ETAG_MISMATCH");
    let missing = save(&api, v1::Guest { etag: made.etag, ..guest("max") }).await;
    check_reason(missing, Code::NotFound, "GUEST_NOT_FOUND");
}

#[tokio::test]
async fn all_that_is_wrong_with_an_update_is_told_with_its_fields() {
    let api = api();
    let wrong = v1::Guest {
        email: "erika".to_owned(),
        time_zone: "Europe/Atlantis".to_owned(),
        first_name: "a\r\nb".to_owned(),
        ..guest("erika")
    };
    let status = save(&api, wrong).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["guest.first_name", "guest.email", "guest.time_zone"]);
    assert!(api.get::<Guest>("guests/erika").await.is_err());

    let paths = vec!["email".to_owned(), "password".to_owned()];
    let mask = Some(prost_types::FieldMask { paths });
    let given = guest("erika");
    let update = Update { given, mask, allow_missing: true, validate_only: false };
    let status = api.update::<Guest>(update).await.unwrap_err();
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "update_mask");
}

#[tokio::test]
async fn a_request_that_is_only_checked_stores_nothing() {
    let api = api();
    let given = guest("erika");
    let update = Update { given, mask: None, allow_missing: true, validate_only: true };
    let told = api.update::<Guest>(update).await.unwrap();
    assert_eq!((told.state(), told.etag.as_str()), (v1::GuestState::Created, ""));
    assert!(api.get::<Guest>("guests/erika").await.is_err());
}

#[tokio::test]
async fn what_a_state_does_not_allow_is_refused_with_the_state() {
    let api = api();
    save(&api, guest("erika")).await.unwrap();
    let reinstated = api.act("guests/erika", "", GuestAction::Reinstate).await;
    let info = reinstated.as_ref().unwrap_err().get_details_error_info().unwrap();
    assert_eq!(info.metadata["state"], "CREATED");
    check_reason(reinstated, Code::FailedPrecondition, "GUEST_STATE");

    let suspend = GuestAction::Suspend { reason: "lost badge".to_owned() };
    let suspended = api.act("guests/erika", "", suspend).await.unwrap();
    assert_eq!(suspended.state(), v1::GuestState::Suspended);
    assert_eq!(suspended.state_reason, "lost badge");
    let past = GuestAction::Extend { valid_to: now() };
    check_reason(api.act("guests/erika", "", past).await, Code::InvalidArgument, "INVALID_GUEST");
    let unknown = api.act("guests/max", "", GuestAction::Reinstate).await;
    check_reason(unknown, Code::NotFound, "GUEST_NOT_FOUND");
    check_reason(api.get::<Guest>("max").await, Code::InvalidArgument, "INVALID_NAME");
}

fn options() -> v1::ImportOptions {
    v1::ImportOptions::default()
}

/// Messages of so many rows each; the options stand in the first.
async fn import(
    api: &DirectoryApi,
    options: v1::ImportOptions,
    guests: Vec<v1::Guest>,
    of_message: usize,
) -> Result<v1::ImportSummary, Status> {
    let rows = (1..).zip(guests).map(|(row, guest)| v1::ImportGuestRow { row, guest: Some(guest) });
    let rows: Vec<_> = rows.collect();
    let first = v1::ImportGuestsRequest { options: Some(options), rows: Vec::new() };
    let others = rows
        .chunks(of_message)
        .map(|rows| v1::ImportGuestsRequest { options: None, rows: rows.to_vec() });
    let messages: Vec<_> = [first].into_iter().chain(others).map(Ok).collect();
    api.import::<Guest, v1::ImportGuestsRequest>(stream::iter(messages)).await
}

fn counts(summary: &v1::ImportSummary) -> [i64; 4] {
    [summary.created_count, summary.updated_count, summary.unchanged_count, summary.rejected_count]
}

#[tokio::test]
async fn an_import_counts_and_repeated_it_changes_nothing() {
    let api = api();
    let guests: Vec<_> = (0..2500).map(|index| guest(&format!("g{index}"))).collect();
    let dry = v1::ImportOptions { validate_only: true, ..options() };
    let run = async |options, guests| counts(&import(&api, options, guests, 700).await.unwrap());
    assert_eq!(run(dry, guests.clone()).await, [2500, 0, 0, 0]);
    assert!(api.get::<Guest>("guests/g7").await.is_err());
    assert_eq!(run(options(), guests[..1800].to_vec()).await, [1800, 0, 0, 0]);
    assert_eq!(run(options(), guests.clone()).await, [700, 0, 1800, 0]);
    assert_eq!(run(options(), guests).await, [0, 0, 2500, 0]);
}

#[tokio::test]
async fn a_refused_row_is_told_with_its_number_and_all_that_is_wrong_and_stops_no_other() {
    let api = api();
    let mut guests: Vec<_> = (0..6).map(|index| guest(&format!("g{index}"))).collect();
    guests[1].name = "guests/".to_owned();
    guests[3].time_zone = "Mars/Olympus".to_owned();
    guests[3].email = "@".to_owned();
    guests[4].name = "guests/g2".to_owned();
    let summary = import(&api, options(), guests.clone(), 2).await.unwrap();
    assert_eq!(counts(&summary), [3, 0, 0, 3]);
    let told: Vec<(i64, Vec<&str>)> = summary
        .rejected_rows
        .iter()
        .map(|row| (row.row, row.violations.iter().map(|one| one.field.as_str()).collect()))
        .collect();
    assert_eq!(told, [(2, vec!["name"]), (4, vec!["email", "time_zone"]), (5, vec!["name"])]);
    assert!(summary.rejected_rows[2].violations[0].description.contains("row 3"));

    let few = v1::ImportOptions { max_rejected_rows: 1, ..options() };
    let summary = import(&api, few, guests, 2).await.unwrap();
    assert_eq!((summary.rejected_count, summary.rejected_rows.len()), (3, 1));
}

#[tokio::test]
async fn rows_change_only_the_fields_of_the_mask() {
    let api = api();
    save(&api, v1::Guest { company: "Acme".to_owned(), ..guest("erika") }).await.unwrap();
    let mask = prost_types::FieldMask { paths: vec!["location".to_owned()] };
    let only = v1::ImportOptions { update_mask: Some(mask), ..options() };
    let rows = vec![
        v1::Guest { location: "Rome".to_owned(), company: String::new(), ..guest("erika") },
        v1::Guest { location: "Rome".to_owned(), ..guest("new") },
    ];
    let summary = import(&api, only, rows, 10).await.unwrap();
    assert_eq!(counts(&summary), [0, 1, 0, 1], "somebody new needs more than a place");
    let erika = api.get::<Guest>("guests/erika").await.unwrap();
    assert_eq!((erika.company.as_str(), erika.location.as_str()), ("Acme", "Rome"));
}

#[tokio::test]
async fn options_stand_in_the_first_message_only() {
    let api = api();
    let with = || v1::ImportGuestsRequest { options: Some(options()), rows: Vec::new() };
    let without = v1::ImportGuestsRequest::default;
    for messages in [vec![], vec![without()], vec![with(), with()]] {
        let messages = stream::iter(messages.into_iter().map(Ok));
        let answer = api.import::<Guest, v1::ImportGuestsRequest>(messages).await;
        check_reason(answer, Code::InvalidArgument, "INVALID_IMPORT");
    }
}

#[tokio::test]
async fn a_removal_of_many_tells_who_was_not_there_and_may_be_repeated() {
    let api = api();
    for number in 0..1500 {
        save(&api, guest(&format!("g{number}"))).await.unwrap();
    }
    let names = (0..1500).map(|number| format!("guests/g{number}"));
    let others = ["guests/nobody", "users/root", "guests/g7"].map(str::to_owned);
    let rows = names.chain(others).zip(1..).map(|(name, row)| v1::DeleteRow { row, name });
    let rows: Vec<_> = rows.collect();
    let remove = async |validate_only| {
        let options = v1::BulkDeleteOptions { validate_only, max_told_rows: 2 };
        let first = v1::DeleteGuestsRequest { options: Some(options), rows: Vec::new() };
        let rest = v1::DeleteGuestsRequest { options: None, rows: rows.clone() };
        let messages = stream::iter([Ok(first), Ok(rest)]);
        api.delete_many::<Guest, v1::DeleteGuestsRequest>(messages).await.unwrap()
    };
    let counts = |summary: &v1::BulkDeleteSummary| {
        (summary.deleted_count, summary.missing_count, summary.rejected_count)
    };

    let looked = remove(true).await;
    let first = remove(false).await;
    let again = remove(false).await;

    // Whoever stands in it twice would be there twice.
    assert_eq!(counts(&looked), (1501, 1, 1));
    assert_eq!(counts(&first), (1500, 2, 1));
    let missing: Vec<_> = first.missing_rows.iter().map(|row| row.row).collect();
    assert_eq!(missing, [1501, 1503]);
    assert_eq!(first.rejected_rows[0].row, 1502);
    assert_eq!(first.rejected_rows[0].violations[0].field, "name");
    assert_eq!((counts(&again), again.missing_rows.len()), ((0, 1502, 1), 2));
    check_reason(api.get::<Guest>("guests/g0").await, Code::NotFound, "GUEST_NOT_FOUND");
}

#[tokio::test]
async fn options_of_a_removal_stand_in_the_first_message_only() {
    let api = api();
    let with = || v1::DeleteUsersRequest {
        options: Some(v1::BulkDeleteOptions::default()),
        rows: Vec::new(),
    };
    let negative = v1::BulkDeleteOptions { max_told_rows: -1, ..Default::default() };
    let negative = v1::DeleteUsersRequest { options: Some(negative), rows: Vec::new() };
    let without = v1::DeleteUsersRequest::default;
    for messages in [vec![], vec![without()], vec![with(), with()], vec![negative]] {
        let messages = stream::iter(messages.into_iter().map(Ok));
        let answer = api.delete_many::<User, v1::DeleteUsersRequest>(messages).await;
        check_reason(answer, Code::InvalidArgument, "INVALID_BULK_DELETE");
    }
}

#[tokio::test(start_paused = true)]
async fn an_import_without_messages_gives_its_place_back() {
    let api = api();
    let import = || api.import::<Guest, v1::ImportGuestsRequest>(stream::pending());
    let mut ends = futures::future::join_all((0..=IMPORTS_MAX).map(|_| import())).await;
    check_reason(ends.remove(IMPORTS_MAX), Code::ResourceExhausted, "TOO_MANY_IMPORTS");
    for stalled in ends {
        check_reason(stalled, Code::DeadlineExceeded, "IMPORT_STALLED");
    }
    check_reason(import().await, Code::DeadlineExceeded, "IMPORT_STALLED");
}

#[tokio::test]
async fn a_node_that_stops_ends_its_imports() {
    let api = api();
    api.shutdown.cancel();
    let answer = api.import::<Guest, v1::ImportGuestsRequest>(stream::pending()).await;
    check_reason(answer, Code::Unavailable, "NODE_DRAINING");
}

#[tokio::test]
async fn lists_page_through_what_fits_their_filter() {
    let api = api();
    for (id, location) in [("a", "Rome"), ("b", "Paris"), ("c", "Rome"), ("d", "Rome")] {
        save(&api, v1::Guest { location: location.to_owned(), ..guest(id) }).await.unwrap();
    }
    let rome = v1::ListGuestsRequest {
        location: "Rome".to_owned(),
        page_size: 2,
        ..v1::ListGuestsRequest::default()
    };
    let list =
        async |request| api.list_guests(Request::new(request)).await.map(Response::into_inner);
    let first = list(rome.clone()).await.unwrap();
    let names = |page: &v1::ListGuestsResponse| -> Vec<String> {
        page.guests.iter().map(|guest| guest.name.clone()).collect()
    };
    assert_eq!(names(&first), ["guests/a", "guests/c"]);
    let token = first.next_page_token;
    let second = list(v1::ListGuestsRequest { page_token: token.clone(), ..rome.clone() }).await;
    let second = second.unwrap();
    assert_eq!(
        (names(&second), second.next_page_token),
        (vec!["guests/d".to_owned()], String::new())
    );

    let other =
        v1::ListGuestsRequest { page_token: token, location: String::new(), ..rome.clone() };
    check_reason(list(other).await, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let wrong = v1::ListGuestsRequest { states: vec![99], text: "x".repeat(513), ..rome };
    let status = list(wrong).await.unwrap_err();
    assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), 2);
}

#[tokio::test]
async fn users_are_kept_beside_guests() {
    let api = api();
    let root = v1::User {
        name: "users/root".to_owned(),
        kind: v1::UserKind::Administrator.into(),
        email: "root@example.com".to_owned(),
        include_system_alarms_in_emails: true,
        ..v1::User::default()
    };
    let given = root.clone();
    let update = Update { given, mask: None, allow_missing: true, validate_only: false };
    let made = api.update::<User>(update).await.unwrap();
    assert_eq!(made.username, "root");
    let request = v1::ListUsersRequest {
        include_system_alarms_in_emails: true,
        ..v1::ListUsersRequest::default()
    };
    let page = api.list_users(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(page.users, [made]);
    check_reason(api.get::<Guest>("guests/root").await, Code::NotFound, "GUEST_NOT_FOUND");
}
