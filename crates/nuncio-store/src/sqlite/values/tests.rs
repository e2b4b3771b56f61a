use super::*;

#[test]
fn a_statement_has_room_for_at_least_as_many_rows() {
    assert_eq!([1, 2, 4, 5, 64, 65, 256].map(padded), [1, 4, 4, 16, 64, 256, 256]);
}

#[test]
fn values_are_written_row_by_row() {
    assert_eq!(values(1, 1), "VALUES (?)");
    assert_eq!(values(3, 2), "VALUES (?, ?), (?, ?), (?, ?), (?, ?)");
}
