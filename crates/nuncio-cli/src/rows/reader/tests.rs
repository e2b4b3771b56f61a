use nuncio_api::v1::{Guest, GuestState, User};

use super::*;
use crate::rows::rejected::RejectedFile;

fn open(content: &[u8]) -> Result<RowReader<Guest>, Failure> {
    RowReader::open(Box::new(Cursor::new(content.to_vec())), None)
}

fn rows(content: &[u8]) -> Vec<FileRow<Guest>> {
    open(content).unwrap().next_rows(1000).unwrap()
}

#[track_caller]
fn check_head(content: &[u8], expected: &str) {
    let problem = open(content).map(|_| ()).unwrap_err().to_string();
    assert!(problem.contains(expected), "{problem}");
}

/// The columns with problems of the only row.
fn wrong(content: &str) -> Vec<String> {
    let rows = rows(content.as_bytes());
    assert_eq!(rows.len(), 1);
    rows[0].problems.iter().map(|(column, _)| column.clone()).collect()
}

#[test]
fn a_byte_order_mark_and_each_delimiter_are_understood() {
    for file in [
        "\u{feff}id,Email,First Name\r\na,a@example.com,Erika\r\n",
        "id;email;first_name\na;a@example.com;Erika",
        "ID\temail\tfirst-name\na\ta@example.com\t\"Erika\"\n",
    ] {
        let rows = rows(file.as_bytes());
        let guest = &rows[0].person;
        assert_eq!((guest.name.as_str(), guest.first_name.as_str()), ("guests/a", "Erika"));
        assert_eq!((rows.len(), rows[0].line), (1, 2));
    }
}

#[test]
fn quoted_cells_may_hold_delimiters_quotes_and_line_ends() {
    let rows = rows(b"id,company\na,\"Acme, \"\"Ltd\"\"\nRome\"\nb,x\n");
    assert_eq!(rows[0].person.company, "Acme, \"Ltd\"\nRome");
    assert_eq!((rows[1].person.id(), rows[1].line), ("b", 4));
}

#[test]
fn without_a_column_of_ids_the_user_name_is_the_id() {
    assert_eq!(rows(b"username,email\nerika,e@example.com\n")[0].person.name, "guests/erika");
}

#[test]
fn a_head_that_names_no_columns_is_refused() {
    check_head(b"", "no head");
    check_head(b"\n\n", "no head");
    check_head(b"id,shoe_size\n", "`shoe_size` is no column");
    check_head(b"id,email,E-Mail\n", "`e_mail` is no column");
    check_head(b"id,email,EMAIL\n", "twice");
    check_head(b"email\n", "neither `id` nor `username`");
    check_head(b"id,etag\n", "set by nuncio");
}

#[test]
fn a_column_of_passwords_is_refused_and_says_why() {
    for name in ["password", "Guest Password", "pwd", "client_secret"] {
        check_head(format!("id,{name}\na,b\n").as_bytes(), "never keeps");
    }
    assert!(open(b"id,is_password_own\n").is_ok());
    let users = b"id,password_expire_time,password_never_expires\n".to_vec();
    assert!(RowReader::<User>::open(Box::new(Cursor::new(users)), None).is_ok());
}

#[test]
fn another_encoding_is_told() {
    let utf16: Vec<u8> = "\u{feff}id,email\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check_head(&utf16, "UTF-16");
    check_head(&utf16[2..], "UTF-16");
    check_head(b"id,e\xe9mail\n", "UTF-8");
    let rows = rows(b"id,first_name\na,M\xfcller\nb,Erika\n");
    assert!(rows[0].problems[0].1.contains("UTF-8"), "{:?}", rows[0].problems);
    assert!(rows[1].problems.is_empty());
}

#[test]
fn a_row_with_more_or_fewer_cells_than_the_head_is_refused_alone() {
    let rows = rows(b"id,email\na\nb,b@example.com\nc,c@example.com,x\n");
    let wrong: Vec<_> = rows.iter().map(|row| row.problems.len()).collect();
    assert_eq!(wrong, [1, 0, 1]);
}

#[test]
fn local_times_are_those_of_the_row_else_of_the_command() {
    let content =
        b"id,valid_to_time,time_zone\na,2027-01-15 08:00,Asia/Tokyo\nb,2027-01-15 08:00,\n";
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut reader =
        RowReader::<Guest>::open(Box::new(Cursor::new(content.to_vec())), Some(zone)).unwrap();
    let rows = reader.next_rows(10).unwrap();
    let cells: Vec<_> = rows.iter().map(|row| row.person.cell("valid_to_time")).collect();
    assert_eq!(cells, ["2027-01-14T23:00:00Z", "2027-01-15T07:00:00Z"]);
}

#[test]
fn all_cells_of_a_row_that_cannot_be_read_are_told() {
    let file = "id,time_zone,valid_to_time,state,has_logged_in\na,Mars/Olympus,soon,gone,perhaps\n";
    assert_eq!(wrong(file), ["time_zone", "valid_to_time", "state", "has_logged_in"]);
    // With an unknown time zone nobody can say what a local time is.
    assert_eq!(
        wrong("id,time_zone,valid_to_time\na,Mars/Olympus,2027-01-15 08:00\n"),
        ["time_zone"]
    );
}

#[test]
fn what_an_import_said_of_a_row_is_no_field() {
    let mut reader = open(b"id,nuncio_problems,state\na,\"state: gone\",active\n").unwrap();
    let rows = reader.next_rows(10).unwrap();
    assert!(rows[0].problems.is_empty());
    assert_eq!(rows[0].person.state(), GuestState::Active);
    assert_eq!(reader.head.fields(), ["state"]);
    let cells: Vec<_> = reader.head.without_problems(&rows[0].raw).collect();
    assert_eq!(cells, [&b"a"[..], b"active"]);
}

#[test]
fn what_is_wrong_with_a_short_row_stands_in_its_column() {
    let mut reader = open(b"id;email;company\na\n").unwrap();
    let rows = reader.next_rows(10).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("again.csv");
    let mut file = RejectedFile::create(&path, &reader.head).unwrap();
    file.add(&reader.head, &rows[0].raw, &rows[0].problems).unwrap();
    file.finish().unwrap();
    let report = std::fs::read_to_string(path).unwrap();
    let row = "a;;;row: has 1 cells, but the head has 3";
    assert_eq!(report, format!("id;email;company;{PROBLEMS}\n{row}\n"));
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_file() {
    let mut content = b"id,company\na,\"Acme\n".to_vec();
    content.extend(std::iter::repeat_n(*b"b,c\n", 2_000_000).flatten());
    let failure = open(&content).unwrap().next_rows(10).map(|_| ()).unwrap_err();
    assert!(failure.to_string().contains("quote"), "{failure}");
}

#[test]
fn many_rows_may_follow_each_other() {
    let mut content = b"id,company\n".to_vec();
    for index in 0..200_000 {
        content.extend(format!("g{index},Acme Corporation\n").bytes());
    }
    let mut reader = open(&content).unwrap();
    let mut count = 0;
    loop {
        let rows = reader.next_rows(5000).unwrap();
        count += rows.len();
        if rows.is_empty() {
            break;
        }
    }
    assert_eq!(count, 200_000);
    assert_eq!(usize::try_from(reader.position()).unwrap(), content.len());
}
