//! The envelopes in etcd: read them all at one revision, replace one if it is still that one.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, KvClient, Txn, TxnOp, TxnOpResponse,
    WatchOptions, WatchStream,
};
use tokio::time::timeout;

use super::config::EtcdConfig;
use super::error::EtcdError;
use crate::document::Document;

/// Below the prefix of the cluster: the settings.
const SETTINGS: &str = "settings/";
/// Below the prefix of the cluster: its store.
const HOME: &str = "store";
/// How long etcd may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The most that all documents together may have, in bytes. A value in etcd has 1.5 MiB at most by default.
const LIST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The settings documents of one cluster in etcd.
#[derive(Clone)]
pub(super) struct EtcdStore {
    client: Client,
    kv: KvClient,
    prefix: String,
    /// The key that says which store the nodes have that use these settings.
    home_key: String,
    has_identity: bool,
}

/// A document as it stands in etcd.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) document: Document,
    /// The revision of etcd that has written it.
    pub(super) revision: i64,
    pub(super) envelope: Vec<u8>,
}

/// All documents at one revision of etcd.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) revision: i64,
    pub(super) documents: Vec<Stored>,
}

/// What came of a write.
pub(super) enum Put {
    Done {
        revision: i64,
    },
    /// Another document stands there, or none.
    Overtaken(Option<Stored>),
}

/// Something that has happened to a document.
#[derive(Debug)]
pub(super) enum Change {
    Written(Stored),
    Removed { document: Document, revision: i64 },
}

impl EtcdStore {
    /// Prepares connections; they are made when they are needed.
    pub(super) async fn new(config: &EtcdConfig) -> Result<Self, EtcdError> {
        let client = Client::connect(&config.endpoints, Some(config.options()?)).await;
        let client = client.map_err(EtcdError::Configuration)?;
        let kv = client.kv_client().max_decoding_message_size(LIST_BYTES_MAX);
        let (prefix, has_identity) =
            (format!("{}{SETTINGS}", config.prefix), config.identity.is_some());
        let home_key = format!("{}{HOME}", config.prefix);
        Ok(Self { client, kv, prefix, home_key, has_identity })
    }

    pub(super) fn home_key(&self) -> &str {
        &self.home_key
    }

    /// Notes the store whose nodes use these settings, unless one is noted already. Returns what is noted.
    pub(super) async fn settle_in(&self, store: &str) -> Result<String, EtcdError> {
        let key = self.home_key.as_str();
        let mut kv = self.kv.clone();
        let noted = self.answered("read", kv.get(key, None)).await?;
        if let Some(kv) = noted.kvs().first() {
            return Ok(String::from_utf8_lossy(kv.value()).into_owned());
        }
        let transaction = Txn::new()
            .when([Compare::mod_revision(key, CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key, store, None)])
            .or_else([TxnOp::get(key, None)]);
        let done = self.answered("write", kv.txn(transaction)).await?;
        let overtaken = done.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(got) => got.kvs().first().map(|kv| kv.value().to_vec()),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
        });
        let noted = overtaken.map(|noted| String::from_utf8_lossy(&noted).into_owned());
        Ok(noted.unwrap_or_else(|| store.to_owned()))
    }

    /// Reads all documents, as a majority of the members knows them.
    pub(super) async fn list(&self) -> Result<Listed, EtcdError> {
        let mut kv = self.kv.clone();
        let options = GetOptions::new().with_prefix();
        let got = self.answered("read", kv.get(self.prefix.as_str(), Some(options))).await?;
        let revision = got.header().map_or(0, etcd_client::ResponseHeader::revision);
        let documents = got.kvs().iter().filter_map(|kv| self.stored(kv)).collect();
        Ok(Listed { revision, documents })
    }

    /// Writes a document if it is still the one of this revision; 0 means that there is none.
    pub(super) async fn put(
        &self,
        document: Document,
        known: i64,
        envelope: Vec<u8>,
    ) -> Result<Put, EtcdError> {
        let key = format!("{}{}", self.prefix, document.name());
        let is_same = Compare::mod_revision(key.as_str(), CompareOp::Equal, known);
        let transaction = Txn::new()
            .when([is_same])
            .and_then([TxnOp::put(key.as_str(), envelope, None)])
            .or_else([TxnOp::get(key.as_str(), None)]);
        let mut kv = self.kv.clone();
        let done = self.answered("write", kv.txn(transaction)).await?;
        if done.succeeded() {
            let revision = done.header().map_or(0, etcd_client::ResponseHeader::revision);
            return Ok(Put::Done { revision });
        }
        let stored = done.op_responses().into_iter().find_map(|response| match response {
            TxnOpResponse::Get(got) => got.kvs().first().and_then(|kv| self.stored(kv)),
            TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
        });
        Ok(Put::Overtaken(stored))
    }

    /// Tells each change after this revision.
    pub(super) async fn watch(&self, after: i64) -> Result<WatchStream, EtcdError> {
        let options = WatchOptions::new().with_prefix().with_start_revision(after + 1);
        let mut client = self.client.watch_client();
        self.answered("watch", client.watch(self.prefix.as_str(), Some(options))).await
    }

    /// What an error of a watch means.
    pub(super) fn watch_error(&self, error: etcd_client::Error) -> EtcdError {
        EtcdError::of(error, ("watch", &self.prefix), self.has_identity)
    }

    /// What a message of the watch tells.
    pub(super) fn changes(
        &self,
        message: &etcd_client::WatchResponse,
    ) -> Result<Vec<Change>, EtcdError> {
        if message.canceled() {
            let why = match (message.compact_revision(), message.cancel_reason()) {
                (0, "") => "etcd gives no reason".to_owned(),
                (0, reason) => reason.to_owned(),
                (compacted, _) => format!("what is before revision {compacted} was compacted"),
            };
            return Err(EtcdError::WatchEnded(why));
        }
        let change = |event: &etcd_client::Event| {
            let kv = event.kv()?;
            Some(match event.event_type() {
                EventType::Put => Change::Written(self.stored(kv)?),
                EventType::Delete => {
                    let document = self.document(kv.key())?;
                    Change::Removed { document, revision: kv.mod_revision() }
                }
            })
        };
        Ok(message.events().iter().filter_map(change).collect())
    }

    fn stored(&self, kv: &etcd_client::KeyValue) -> Option<Stored> {
        let document = self.document(kv.key())?;
        let (revision, envelope) = (kv.mod_revision(), kv.value().to_vec());
        Some(Stored { document, revision, envelope })
    }

    /// The document of a key; none where a newer version has made it.
    fn document(&self, key: &[u8]) -> Option<Document> {
        let name = key.strip_prefix(self.prefix.as_bytes())?;
        Document::all().find(|document| document.name().as_bytes() == name)
    }

    async fn answered<T>(
        &self,
        needed: &'static str,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, EtcdError> {
        let answer = timeout(ANSWER_TIMEOUT, call).await.map_err(|_elapsed| EtcdError::Late)?;
        answer.map_err(|error| EtcdError::of(error, (needed, &self.prefix), self.has_identity))
    }
}
