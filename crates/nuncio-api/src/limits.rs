//! Limits that server and clients share.

/// The largest message in either direction, in bytes: 32 MiB.
///
/// The largest request is a mail of 8 MiB with a thousand recipients; the largest answer is a page of a
/// thousand jobs, of which few have many recipients.
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
