//! The ports over a database, whatever the engine.

/// Implements the ports for a store.
///
/// The store has a `writer`, its `readers`, its `keys` and a method `job_changes`; beside it are the modules `read`,
/// `records` and `sealed` of its engine, and its `answer`, which waits for a read.
macro_rules! implement_ports {
    ($store:ty) => {
        #[async_trait]
        impl JobStore for $store {
            async fn submit(&self, job: NewJob) -> Result<Submitted, SubmitError> {
                self.writer.write(Submit::new(job, self.keys.current())).await
            }

            async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError> {
                answer(read::job(&self.readers, id)).await
            }

            async fn attempts(
                &self,
                id: MailJobId,
                limit: u32,
            ) -> Result<Vec<Attempt>, StoreError> {
                answer(read::attempts(&self.readers, id, limit)).await
            }

            async fn usage(
                &self,
                now: Timestamp,
                asker: &Incarnation,
            ) -> Result<Vec<MailboxUsage>, StoreError> {
                answer(read::usage(&self.readers, now, asker)).await
            }

            async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
                answer(read::list(&self.readers, query)).await
            }

            async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
                let leased = self.writer.write(claim).await?;
                let with_attachments = with_attachments(&leased);
                let attachments =
                    answer(read::attachments(&self.readers, &with_attachments)).await?;
                Ok(claimed(leased, attachments, &*self.keys.current()))
            }

            async fn extend(&self, lease: &Lease, until: Timestamp) -> Result<(), LeaseError> {
                self.writer.write(Extend::new(lease, until)).await
            }

            async fn enter_body(&self, lease: &Lease) -> Result<(), LeaseError> {
                self.writer.write(EnterBody::new(lease)).await
            }

            async fn settle(
                &self,
                lease: Lease,
                settlement: Settlement,
            ) -> Result<Job, LeaseError> {
                self.writer.write(Advance::settlement(&lease, settlement)).await
            }

            async fn cancel(&self, id: MailJobId, now: Timestamp) -> Result<Job, CancelError> {
                self.writer.write(Cancel { id, now }).await
            }

            async fn direct(
                &self,
                id: MailJobId,
                direction: Direction,
                now: Timestamp,
            ) -> Result<Job, DirectError> {
                self.writer.write(Direct { id, direction, now }).await
            }

            async fn expire(&self, now: Timestamp, limit: u32) -> Result<Vec<Job>, StoreError> {
                self.writer.write(Expire { now, limit }).await
            }

            async fn rescue(&self, dead: Dead, now: Timestamp) -> Result<Vec<Job>, StoreError> {
                self.writer.write(Rescue { dead, now }).await
            }

            async fn release_held(&self, now: Timestamp) -> Result<u64, StoreError> {
                self.writer.write(ReleaseHeld { now }).await
            }

            async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
                answer(read::next_due(&self.readers)).await
            }

            async fn changes(
                &self,
                after: ChangeSeq,
                id: Option<MailJobId>,
                limit: u32,
            ) -> Result<Vec<Change>, StoreError> {
                answer(read::changes(&self.readers, after, id, limit)).await
            }

            async fn last_change(&self) -> Result<ChangeSeq, StoreError> {
                answer(read::last_change(&self.readers)).await
            }

            fn changed(&self) -> watch::Receiver<()> {
                self.job_changes()
            }

            async fn backlog(&self) -> Result<Backlog, StoreError> {
                answer(read::backlog(&self.readers)).await
            }

            async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
                self.writer.write(Prune { before, limit }).await
            }
        }

        #[async_trait]
        impl RecordStore for $store {
            async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
                answer(records::read(&self.readers, keys)).await
            }

            async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
                answer(records::list(&self.readers, query)).await
            }

            async fn due_records(
                &self,
                kind: RecordKind,
                until: Timestamp,
                after: Option<&DuePlace>,
                limit: u32,
            ) -> Result<Vec<Record>, StoreError> {
                let due = records::due(&self.readers, kind, until, after, limit);
                answer(due).await
            }

            async fn next_due_record(
                &self,
                kind: RecordKind,
            ) -> Result<Option<Timestamp>, StoreError> {
                answer(records::next_due(&self.readers, kind)).await
            }

            async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
                answer(records::count(&self.readers, kind)).await
            }

            async fn commit(&self, changes: Changeset) -> Result<Committed, CommitError> {
                crate::records::check(&changes)?;
                self.writer.write(Commit::new(changes, self.keys.current())).await
            }

            fn records_changed(&self) -> watch::Receiver<()> {
                self.writer.records_changed()
            }
        }

        #[async_trait]
        impl SealedMails for $store {
            async fn noted_keys(&self) -> Result<Vec<String>, StoreError> {
                answer(sealed::noted(&self.readers)).await
            }

            async fn note_key(&self, sealer: &dyn Sealer) -> Result<(), StoreError> {
                let key_id = sealer.key_id().to_owned();
                self.writer.write(NoteKey { key_id, proof: crate::seal::proof(sealer) }).await
            }

            async fn sealed_mails(&self, key_id: &str) -> Result<u64, StoreError> {
                let mark = self.keys.current().mark(key_id);
                let count = answer(sealed::count(&self.readers, &mark)).await?;
                Ok(count.unsigned_abs())
            }

            async fn reseal_mails(
                &self,
                after: Option<MailJobId>,
                limit: u32,
            ) -> Result<Resealed, StoreError> {
                let sealer = self.keys.current();
                let mark = sealer.mark(sealer.key_id());
                let jobs = answer(async {
                    let found = sealed::others(&self.readers, &mark, after, limit).await?;
                    crate::rows::ids_in_order(&found)
                });
                let jobs = jobs.await?;
                let (mut batch, mut count) = (Reseal::default(), 0);
                for job in &jobs {
                    batch.mails.extend(self.resealed(*job, &*sealer).await?);
                    if batch.is_full() || Some(job) == jobs.last() {
                        count += self.writer.write(std::mem::take(&mut batch)).await?;
                    }
                }
                Ok(Resealed { count, last: jobs.last().copied() })
            }

            async fn forget_key(&self, key_id: &str) -> Result<bool, StoreError> {
                let (key_id, mark) = (key_id.to_owned(), self.keys.current().mark(key_id));
                self.writer.write(ForgetKey { key_id, mark }).await
            }
        }

        impl $store {
            /// The mail of a job under the present key; none if it is gone or cannot be opened.
            async fn resealed(
                &self,
                job: MailJobId,
                sealer: &dyn Sealer,
            ) -> Result<Option<ResealedMail>, StoreError> {
                let id = crate::rows::id_to(job);
                let body = answer(sealed::body(&self.readers, &id)).await?;
                let Some(body) = body else { return Ok(None) };
                let files = read::attachments(&self.readers, std::slice::from_ref(&id));
                let mut files = answer(files).await?;
                let files = files.remove(&job).unwrap_or_default();
                let mail = ResealedMail::new(job, &body, &files, sealer);
                Ok(crate::rows::readable(&id, mail.map_err(crate::rows::RowError::from)))
            }
        }
    };
}
pub(crate) use implement_ports;
