//! What has changed among the nodes since the last look, for the log.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use nuncio_core::ports::job_store::Incarnation;

use crate::membership::{Life, Member};

/// Something that happened to another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Came { name: String, address: String, version: String },
    Left { name: String },
    Died { name: String, heard_at: Timestamp },
    SharesName { name: String },
}

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Seen {
    others: BTreeMap<Incarnation, (String, Life)>,
    shared_names: BTreeSet<String>,
}

impl Seen {
    /// What is new, from the view of the node `own`.
    pub(super) fn learn(&mut self, own: &Incarnation, members: &[Member]) -> Vec<News> {
        let mut news = Vec::new();
        let mut others = BTreeMap::new();
        for member in members.iter().filter(|member| member.incarnation != *own) {
            let name = member.name.clone();
            let before = self.others.remove(&member.incarnation).map(|(_, life)| life);
            others.insert(member.incarnation.clone(), (name.clone(), member.life));
            match (before, member.life) {
                (None | Some(Life::Dead), Life::Live) => {
                    let (address, version) = match &member.report {
                        Some(report) => (report.address.clone(), report.version.clone()),
                        None => (String::new(), "another".to_owned()),
                    };
                    news.push(News::Came { name, address, version });
                }
                (Some(Life::Live), Life::Dead) => {
                    news.push(News::Died { name, heard_at: member.heard_at });
                }
                (Some(Life::Live), Life::Live) | (None | Some(Life::Dead), Life::Dead) => {}
            }
        }
        // Those that were dead have only been tidied up.
        let left = std::mem::replace(&mut self.others, others).into_values();
        let left = left.filter(|(_, life)| *life == Life::Live);
        news.extend(left.map(|(name, _)| News::Left { name }));

        let sharing = members.iter().filter(|member| member.shares_name);
        let shared: BTreeSet<String> = sharing.map(|member| member.name.clone()).collect();
        let new = shared.difference(&self.shared_names).cloned();
        news.extend(new.map(|name| News::SharesName { name }));
        self.shared_names = shared;
        news
    }
}
