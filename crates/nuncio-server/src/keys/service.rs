//! `KeyService`: what keys there are, and the rotation.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures::{Stream, StreamExt as _};
use nuncio_api::caller::caller_id;
use nuncio_api::v1;
use nuncio_api::v1::key_service_server::KeyService;
use nuncio_api::v1::rotate_keys_response::Event;
use nuncio_core::ports::job_store::StoreError;
use nuncio_directory::approvals::sealed;
use nuncio_runtime::progress::{Progress, with_progress};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::errors::no_store;
use crate::keys::KeyParts;
use crate::keys::listing::Known;
use crate::keys::rotation::Rotated;

/// How many steps may wait for a slow client.
const STEPS_QUEUED: usize = 16;

/// The handler.
pub(crate) struct KeyApi(pub(crate) KeyParts);

impl KeyApi {
    async fn keys(&self) -> Result<Vec<v1::Key>, StoreError> {
        let KeyParts { keys, mails, settings, records, membership, .. } = &self.0;
        let known = Known {
            members: membership.members().await?,
            noted: mails.noted_keys().await?,
            settings: settings.sealed_documents(),
        };
        let (sealer, mut counts) = (keys.current(), BTreeMap::new());
        for key_id in known.key_ids() {
            let passwords = sealed::count(&**records, &*sealer, &key_id).await?;
            counts.insert(key_id.clone(), (mails.sealed_mails(&key_id).await?, passwords));
        }
        Ok(known.keys(&counts))
    }
}

#[tonic::async_trait]
impl KeyService for KeyApi {
    async fn list_keys(
        &self,
        _request: Request<v1::ListKeysRequest>,
    ) -> Result<Response<v1::ListKeysResponse>, Status> {
        let keys = self.keys().await.map_err(|error| no_store(&error))?;
        Ok(Response::new(v1::ListKeysResponse { keys }))
    }

    type RotateKeysStream =
        Pin<Box<dyn Stream<Item = Result<v1::RotateKeysResponse, Status>> + Send>>;

    async fn rotate_keys(
        &self,
        request: Request<v1::RotateKeysRequest>,
    ) -> Result<Response<Self::RotateKeysStream>, Status> {
        // Told at once, not in the stream.
        let key_id = self.0.check_shared().await?;
        info!(%key_id, "`{}` has everything put under key `{key_id}`", caller_id(&request).0);
        let (tell, steps) = mpsc::channel(STEPS_QUEUED);
        let parts = self.0.clone();
        let told = with_progress(steps, async move { parts.rotate(tell).await });
        let told = told.map(|progress| {
            let event = match progress {
                Progress::Step(mails) => {
                    Event::Progress(v1::RotateKeysProgress { resealed_mails: count(mails) })
                }
                Progress::Done(rotated) => Event::Result(result(rotated?)),
            };
            Ok(v1::RotateKeysResponse { event: Some(event) })
        });
        Ok(Response::new(Box::pin(told)))
    }
}

fn result(rotated: Rotated) -> v1::RotateKeysResult {
    let Rotated { key_id, settings, mails, passwords, forgotten, kept } = rotated;
    v1::RotateKeysResult {
        key_id,
        resealed_settings: settings.into_iter().map(str::to_owned).collect(),
        resealed_mails: count(mails),
        resealed_passwords: count(passwords),
        forgotten_keys: forgotten,
        kept_keys: kept,
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
