//! The keys, as the API tells them.

use std::collections::{BTreeMap, BTreeSet};

use nuncio_api::v1;
use nuncio_core::ports::sealed::SealedDocument;
use nuncio_nodes::keys::{names, without_key};
use nuncio_nodes::membership::report::NodeReport;
use nuncio_nodes::membership::{Life, Member};

/// What is known of keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) members: Vec<Member>,
    /// The keys that the store has noted.
    pub(super) noted: Vec<String>,
    /// The settings of this node.
    pub(super) settings: Vec<SealedDocument>,
}

impl Known {
    /// The ids of all keys that somebody knows or needs.
    pub(super) fn key_ids(&self) -> BTreeSet<String> {
        let live = self.members.iter().filter(|member| member.life == Life::Live);
        let told = live.filter_map(|member| member.report.as_ref()).flat_map(|report| {
            [&report.keys, &report.writing_keys, &report.settings_keys].into_iter().flatten()
        });
        let sealed = self.settings.iter().map(|document| &document.key_id);
        told.chain(&self.noted).chain(sealed).cloned().collect()
    }

    /// The keys, with how many mails and passwords each has sealed.
    pub(super) fn keys(&self, sealed: &BTreeMap<String, (u64, u64)>) -> Vec<v1::Key> {
        self.key_ids()
            .into_iter()
            .map(|key_id| {
                let (mails, passwords) = sealed.get(&key_id).copied().unwrap_or_default();
                self.key(&key_id, mails, passwords)
            })
            .collect()
    }

    fn key(&self, key_id: &str, mails: u64, passwords: u64) -> v1::Key {
        let nodes = |holds: &dyn Fn(&NodeReport) -> bool| listed(names(&self.members, holds));
        let has = |ids: &[String]| ids.iter().any(|id| id == key_id);
        let settings = self.settings.iter().filter(|document| document.key_id == key_id);
        let mut key = v1::Key {
            readable_nodes: nodes(&|report| has(&report.keys)),
            unreadable_nodes: listed(without_key(&self.members, key_id)),
            writing_nodes: nodes(&|report| has(&report.writing_keys)),
            waiting_nodes: nodes(&|report| {
                report.first_key == key_id && !has(&report.writing_keys)
            }),
            settings: settings.map(|document| document.document.to_owned()).collect(),
            settings_nodes: nodes(&|report| has(&report.settings_keys)),
            mails: i64::try_from(mails).unwrap_or(i64::MAX),
            passwords: i64::try_from(passwords).unwrap_or(i64::MAX),
            noted: has(&self.noted),
            removable: false,
            key_id: key_id.to_owned(),
        };
        key.removable = !key.noted
            && key.mails == 0
            && key.passwords == 0
            && key.settings.is_empty()
            && [&key.settings_nodes, &key.writing_nodes, &key.waiting_nodes]
                .into_iter()
                .all(Vec::is_empty);
        key
    }
}

fn listed(names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| format!("nodes/{name}")).collect()
}

#[cfg(test)]
mod tests;
