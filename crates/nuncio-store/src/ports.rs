//! The ports over a database, whatever the engine.

/// Implements the ports for a store.
///
/// The store has a `writer`, its `readers`, its `keys` and a method `job_changes`; beside it are the modules `read`,
/// `records` and `sealed` of its engine, and its `store_error`.
macro_rules! implement_ports {
    ($store:ty) => {
        #[async_trait]
        impl JobStore for $store {
            async fn submit(&self, job: NewJob) -> Result<Submitted, SubmitError> {
                self.writer.write(Submit::new(job, self.keys.current())).await
            }

            async fn get(&self, id: MailJobId) -> Result<Option<Job>, StoreError> {
                read::job(&self.readers, id).await.map_err(store_error)
            }

            async fn attempts(
                &self,
                id: MailJobId,
                limit: u32,
            ) -> Result<Vec<Attempt>, StoreError> {
                read::attempts(&self.readers, id, limit).await.map_err(store_error)
            }

            async fn usage(
                &self,
                now: Timestamp,
                asker: &Incarnation,
            ) -> Result<Vec<MailboxUsage>, StoreError> {
                read::usage(&self.readers, now, asker).await.map_err(store_error)
            }

            async fn list(&self, query: &JobQuery) -> Result<JobPage, StoreError> {
                read::list(&self.readers, query).await.map_err(store_error)
            }

            async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
                let leased = self.writer.write(claim).await?;
                let with_attachments = with_attachments(&leased);
                let attachments = read::attachments(&self.readers, &with_attachments).await;
                Ok(claimed(leased, attachments.map_err(store_error)?, &*self.keys.current()))
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
                read::next_due(&self.readers).await.map_err(store_error)
            }

            async fn changes(
                &self,
                after: ChangeSeq,
                id: Option<MailJobId>,
                limit: u32,
            ) -> Result<Vec<Change>, StoreError> {
                read::changes(&self.readers, after, id, limit).await.map_err(store_error)
            }

            async fn last_change(&self) -> Result<ChangeSeq, StoreError> {
                read::last_change(&self.readers).await.map_err(store_error)
            }

            fn changed(&self) -> watch::Receiver<()> {
                self.job_changes()
            }

            async fn backlog(&self) -> Result<Backlog, StoreError> {
                read::backlog(&self.readers).await.map_err(store_error)
            }

            async fn prune(&self, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
                self.writer.write(Prune { before, limit }).await
            }
        }

        #[async_trait]
        impl RecordStore for $store {
            async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
                records::read(&self.readers, keys).await.map_err(store_error)
            }

            async fn list_records(&self, query: &RecordQuery) -> Result<Vec<Record>, StoreError> {
                records::list(&self.readers, query).await.map_err(store_error)
            }

            async fn due_records(
                &self,
                kind: RecordKind,
                until: Timestamp,
                after: Option<&DuePlace>,
                limit: u32,
            ) -> Result<Vec<Record>, StoreError> {
                let due = records::due(&self.readers, kind, until, after, limit);
                due.await.map_err(store_error)
            }

            async fn next_due_record(
                &self,
                kind: RecordKind,
            ) -> Result<Option<Timestamp>, StoreError> {
                records::next_due(&self.readers, kind).await.map_err(store_error)
            }

            async fn count_records(&self, kind: RecordKind) -> Result<u64, StoreError> {
                records::count(&self.readers, kind).await.map_err(store_error)
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
                sealed::noted(&self.readers).await.map_err(store_error)
            }

            async fn note_key(&self, sealer: &dyn Sealer) -> Result<(), StoreError> {
                let key_id = sealer.key_id().to_owned();
                self.writer.write(NoteKey { key_id, proof: crate::seal::proof(sealer) }).await
            }

            async fn sealed_mails(&self, key_id: &str) -> Result<u64, StoreError> {
                let mark = self.keys.current().mark(key_id);
                let count = sealed::count(&self.readers, &mark).await.map_err(store_error)?;
                Ok(count.unsigned_abs())
            }

            async fn reseal_mails(
                &self,
                after: Option<MailJobId>,
                limit: u32,
            ) -> Result<Resealed, StoreError> {
                let sealer = self.keys.current();
                let mark = sealer.mark(sealer.key_id());
                let found = sealed::others(&self.readers, &mark, after, limit).await;
                let jobs =
                    found.and_then(|ids| crate::rows::ids_in_order(&ids)).map_err(store_error)?;
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
                let body = sealed::body(&self.readers, &id).await.map_err(store_error)?;
                let Some(body) = body else { return Ok(None) };
                let files = read::attachments(&self.readers, std::slice::from_ref(&id)).await;
                let mut files = files.map_err(store_error)?;
                let files = files.remove(&job).unwrap_or_default();
                let mail = ResealedMail::new(job, &body, &files, sealer);
                Ok(crate::rows::readable(&id, mail.map_err(crate::rows::RowError::from)))
            }
        }
    };
}
pub(crate) use implement_ports;
