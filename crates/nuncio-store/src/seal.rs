//! Mails and attachments as they lie in a database: sealed, each bound to its job and its place there.

use nuncio_core::job::MailJobId;
use nuncio_core::ports::sealer::{Sealer, UnsealError};

/// What a sealed row begins with. The JSON of an older version, which is clear, begins with `{`.
const CLEAR_MAIL: u8 = b'{';
/// In what context a key proves that it is the same key.
const PROOF: &[u8] = b"nuncio key of mails";

/// Why a store does not suit the keys of its node.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "they are sealed with key `{key_id}`, which the key file of this node does not hold; nodes that share a \
         store share one key file: name it with `keys.file`, or add that key to the file of this node"
    )]
    Unknown { key_id: String },
    #[error(
        "they are sealed with another key `{key_id}` than the one in the key file of this node; restore the key \
         file from a backup or from a node that reads them"
    )]
    Other { key_id: String },
}

/// Whether all keys that the store has noted can be used.
pub(crate) fn check(noted: &[(String, Vec<u8>)], sealer: &dyn Sealer) -> Result<(), KeyError> {
    for (key_id, proof) in noted {
        match sealer.open(PROOF, proof) {
            Ok(_empty) => {}
            Err(UnsealError::UnknownKey { .. }) => {
                return Err(KeyError::Unknown { key_id: key_id.clone() });
            }
            Err(UnsealError::Malformed | UnsealError::Forged { .. }) => {
                return Err(KeyError::Other { key_id: key_id.clone() });
            }
        }
    }
    Ok(())
}

/// What a store notes of the key that seals.
pub(crate) fn proof(sealer: &dyn Sealer) -> Vec<u8> {
    sealer.seal(PROOF, b"")
}

pub(crate) fn seal_mail(sealer: &dyn Sealer, job: MailJobId, json: &str) -> Vec<u8> {
    sealer.seal(&context(job, None), json.as_bytes())
}

/// The JSON of a mail, which older versions wrote in clear text.
pub(crate) fn open_mail(
    sealer: &dyn Sealer,
    job: MailJobId,
    stored: Vec<u8>,
) -> Result<Vec<u8>, UnsealError> {
    if stored.first() == Some(&CLEAR_MAIL) {
        return Ok(stored);
    }
    sealer.open(&context(job, None), &stored)
}

/// The same mail under the key that seals now.
pub(crate) fn reseal_mail(
    sealer: &dyn Sealer,
    job: MailJobId,
    stored: &[u8],
) -> Result<Vec<u8>, UnsealError> {
    let context = context(job, None);
    Ok(sealer.seal(&context, &sealer.open(&context, stored)?))
}

pub(crate) fn seal_attachment(
    sealer: &dyn Sealer,
    job: MailJobId,
    place: i64,
    content: &[u8],
) -> Vec<u8> {
    sealer.seal(&context(job, Some(place)), content)
}

pub(crate) fn open_attachment(
    sealer: &dyn Sealer,
    job: MailJobId,
    place: i64,
    stored: &[u8],
) -> Result<Vec<u8>, UnsealError> {
    sealer.open(&context(job, Some(place)), stored)
}

/// No two mails or attachments have the same: ids of jobs have one length.
fn context(job: MailJobId, place: Option<i64>) -> Vec<u8> {
    let mut context = b"nuncio mail\0".to_vec();
    context.extend_from_slice(job.as_uuid().as_bytes());
    context.extend(place.into_iter().flat_map(i64::to_be_bytes));
    context
}
