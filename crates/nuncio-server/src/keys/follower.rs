//! A node follows its key file.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nuncio_cluster::keyring::follow::{Next, Seen, next};
use nuncio_cluster::keyring::{KeyId, Keyring, KeyringError};
use nuncio_core::ports::job_store::StoreError;
use nuncio_core::ports::sealer::Sealer as _;
use nuncio_nodes::keys::without_key;
use nuncio_runtime::chain::Chain;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::keys::KeyParts;

/// How often the file is looked at, and whether others can read its first key.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

/// Keeps the keys as the file is.
pub(crate) struct KeyFollower {
    parts: KeyParts,
    /// What was in the way at the last look, so that it is told once.
    troubles: BTreeSet<String>,
}

/// What the store and the other nodes say.
struct Asked {
    /// The keys that the store has noted.
    noted: Vec<String>,
    /// The other live nodes that cannot read the first key of the file, where that does not write yet.
    unready: Vec<String>,
}

impl KeyFollower {
    pub(crate) fn new(parts: KeyParts) -> Self {
        Self { parts, troubles: BTreeSet::new() }
    }

    /// Looks at the file until `stop` is cancelled. What cannot be used changes nothing, and is told once.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), io::Error> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(LOOK_PERIOD) => {}
            }
            self.look().await;
        }
    }

    /// Takes what the file holds now, as far as it can be.
    pub(crate) async fn look(&mut self) {
        let troubles = match self.read_file().await {
            Ok(file) => Box::pin(self.take(file)).await,
            Err(problem) => {
                let problem = Chain(&problem).to_string();
                vec![format!("the keys stay as they were: {problem}")]
            }
        };
        for trouble in troubles.iter().filter(|trouble| !self.troubles.contains(*trouble)) {
            error!("the key file needs a look: {trouble}");
        }
        self.troubles = troubles.into_iter().collect();
    }

    async fn read_file(&self) -> Result<Keyring, KeyringError> {
        let keys = Arc::clone(&self.parts.keys);
        spawn_blocking(move || keys.read_file()).await.expect("it only reads a file")
    }

    /// What is in the way of these keys.
    async fn take(&self, file: Keyring) -> Vec<String> {
        let KeyParts { keys, mails, settings, .. } = &self.parts;
        keys.note_first(file.writer());
        let asked = self.ask(&file).await;
        if let Err(problem) = &asked {
            debug!("keys are neither written with nor dropped now: {}", Chain(problem));
        }
        let asked = asked.ok();
        let sealed = settings.sealed_documents().into_iter().map(|document| document.key_id);
        let in_use = asked
            .as_ref()
            .map(|asked| sealed.chain(asked.noted.iter().cloned()).collect::<BTreeSet<_>>());
        let is_read_everywhere = asked.as_ref().is_some_and(|asked| asked.unready.is_empty());
        let seen = Seen { in_use: in_use.as_ref(), is_read_everywhere };
        let next = match next(&file, &keys.current(), seen) {
            Ok(next) => next,
            Err(other) => return vec![format!("the keys stay as they were: {other}")],
        };
        let is_noted = |id: &str| {
            asked.as_ref().is_some_and(|asked| asked.noted.iter().any(|noted| noted == id))
        };
        // Before anything is sealed with it; and anew where it was forgotten while this node started.
        if asked.is_some()
            && !is_noted(next.keyring.key_id())
            && let Err(problem) = mails.note_key(&next.keyring).await
        {
            return vec![format!("the keys stay as they were: {}", Chain(&problem))];
        }
        tell(&next);
        let troubles = troubles(&next, asked.as_ref(), file.writer());
        if next.is_new_writer || !next.added.is_empty() || !next.dropped.is_empty() {
            keys.replace(next.keyring);
        }
        troubles
    }

    async fn ask(&self, file: &Keyring) -> Result<Asked, StoreError> {
        let KeyParts { keys, mails, membership, .. } = &self.parts;
        let noted = mails.noted_keys().await?;
        // The others matter to a change alone.
        if file.writer() == keys.current().writer() {
            return Ok(Asked { noted, unready: Vec::new() });
        }
        let mut members = membership.members().await?;
        members.retain(|member| member.incarnation != *membership.incarnation());
        Ok(Asked { noted, unready: without_key(&members, file.writer().as_str()) })
    }
}

fn tell(next: &Next) {
    for key_id in &next.added {
        info!(%key_id, "key `{key_id}` of the key file is read from now on");
    }
    if next.is_new_writer {
        let key_id = next.keyring.writer();
        info!(%key_id, "settings and mails are sealed with key `{key_id}` from now on");
    }
    for key_id in &next.dropped {
        info!(%key_id, "key `{key_id}` is not in the key file any more, and nothing needs it");
    }
}

/// What somebody has to do something about.
fn troubles(next: &Next, asked: Option<&Asked>, first: &KeyId) -> Vec<String> {
    let mut troubles = Vec::new();
    for key_id in &next.kept {
        troubles.push(format!(
            "key `{key_id}` is not in the key file any more, but what it has sealed is still there: this node keeps it until \
             it ends, and does not start again without it; put its line back until `nuncio keys list` says that it can be \
             removed"
        ));
    }
    let Some(Asked { noted, unready }) = asked else { return troubles };
    if first != next.keyring.writer() {
        let (names, writer) = (unready.join("`, `"), next.keyring.writer());
        troubles.push(format!(
            "key `{first}` is the first of the key file, but `{names}` cannot read it: this node writes with `{writer}` until \
             they can; give them the same key file"
        ));
    }
    let knows = |id: &String| KeyId::parse(id).is_some_and(|id| next.keyring.knows(&id));
    for key_id in noted.iter().filter(|id| !knows(id)) {
        troubles.push(format!(
            "mails are sealed with key `{key_id}`, which the key file of this node does not hold: it cannot send them; add that \
             key to the file"
        ));
    }
    troubles
}

#[cfg(test)]
mod tests;
