//! Many rows in one statement.
//!
//! Each statement and each answer crosses from a thread of the runtime to the thread of the connection and back,
//! which costs more than most statements. So whatever is written together goes over in one text of several
//! statements. Rows come as `VALUES`, in one of a few numbers, so that there are few texts to prepare. Values
//! that are not bound are NULL: whoever uses such rows must leave them out.

/// The most rows in one statement.
pub(super) const ROWS_MAX: usize = 256;
const SIZES: [usize; 5] = [1, 4, 16, 64, ROWS_MAX];

/// For how many rows the statement for `count` rows has room.
pub(super) fn padded(count: usize) -> usize {
    SIZES.into_iter().find(|size| count <= *size).expect("the rows were cut into chunks")
}

/// `(?, ?, …)`
pub(super) fn tuple(columns: usize) -> String {
    let mut tuple = "(?".to_owned() + &", ?".repeat(columns - 1);
    tuple.push(')');
    tuple
}

/// `VALUES (?, ?, …), (?, ?, …), …` with room for so many rows.
pub(super) fn values(count: usize, columns: usize) -> String {
    let row = tuple(columns);
    let others = format!(", {row}").repeat(padded(count) - 1);
    format!("VALUES {row}{others}")
}

#[cfg(test)]
mod tests;
