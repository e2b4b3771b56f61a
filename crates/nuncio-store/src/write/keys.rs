//! Keys that are noted and forgotten, and mails that come under another one.

use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::sealer::{Sealer, UnsealError};

use crate::rows::AttachmentRow;
use crate::seal;
use crate::write::end::one_after_the_other;
use crate::write::engine::Engine;
use crate::write::group::{Answer, Group, Lane, Op};

pub(crate) struct NoteKey {
    pub(crate) key_id: String,
    pub(crate) proof: Vec<u8>,
}

pub(crate) struct ForgetKey {
    pub(crate) key_id: String,
    /// What its mails begin with.
    pub(crate) mark: Vec<u8>,
}

/// How many bytes of mails are resealed in one transaction, if not one mail has more: 4 MiB.
const RESEAL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Mails under another key, some in one transaction.
#[derive(Default)]
pub(crate) struct Reseal {
    pub(crate) mails: Vec<ResealedMail>,
}

impl Reseal {
    /// Whether it shall be written before there is more.
    pub(crate) fn is_full(&self) -> bool {
        RESEAL_BYTES_MAX <= self.bytes()
    }
}

/// A mail as it stands under another key. It is the same mail, whatever goes on with its job: so all that matters is that it is
/// still there.
pub(crate) struct ResealedMail {
    pub(crate) job: MailJobId,
    pub(crate) sealed: Vec<u8>,
    /// The places of the attachments, and their contents.
    pub(crate) files: Vec<(i64, Vec<u8>)>,
}

impl ResealedMail {
    /// Opens what is stored and seals it anew: the caller's work, as the writers have enough to do.
    pub(crate) fn new(
        job: MailJobId,
        stored: &[u8],
        files: &[AttachmentRow],
        sealer: &dyn Sealer,
    ) -> Result<Self, UnsealError> {
        let files = files.iter().map(|AttachmentRow { place, content, .. }| {
            let clear = seal::open_attachment(sealer, job, *place, content)?;
            Ok((*place, seal::seal_attachment(sealer, job, *place, &clear)))
        });
        Ok(Self {
            job,
            sealed: seal::reseal_mail(sealer, job, stored)?,
            files: files.collect::<Result<_, _>>()?,
        })
    }

    fn bytes(&self) -> usize {
        self.sealed.len() + self.files.iter().map(|(_, content)| content.len()).sum::<usize>()
    }
}

one_after_the_other!(NoteKey, noted_keys, (), StoreError);
one_after_the_other!(ForgetKey, forgotten_keys, bool, StoreError);

impl NoteKey {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        engine.note_key(self).await.map(Ok)
    }
}

impl ForgetKey {
    async fn run_alone<E: Engine>(&self, engine: &mut E) -> sqlx::Result<Answer<Self>> {
        engine.forget_key(self).await.map(Ok)
    }
}

impl Op for Reseal {
    /// How many mails were still there.
    type Out = u64;
    type Refusal = StoreError;

    fn lane(group: &mut Group) -> &mut Lane<Self> {
        &mut group.reseals
    }

    fn bytes(&self) -> usize {
        self.mails.iter().map(ResealedMail::bytes).sum()
    }

    async fn run<E: Engine>(engine: &mut E, ops: &[&Self]) -> sqlx::Result<Vec<Answer<Self>>> {
        let mut answers = Vec::with_capacity(ops.len());
        for op in ops {
            answers.push(Ok(engine.reseal(&op.mails).await?));
        }
        Ok(answers)
    }
}
