//! The nodes of a store, as the API tells them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nuncio_api::convert::time::{duration, signed_duration, timestamp};
use nuncio_api::v1;
use nuncio_nodes::membership::report::{ChannelReport, ChannelState, MailboxReport, NodeReport};
use nuncio_nodes::membership::{Life, Member};

use crate::config::Role;

/// All of them, with what only shows beside the others: who runs older settings.
pub(super) fn nodes(members: Vec<Member>, now: Timestamp) -> Vec<v1::Node> {
    let mut newest = BTreeMap::<String, i64>::new();
    for member in members.iter().filter(|member| member.life == Life::Live) {
        if let Some(NodeReport { settings_home: Some(home), settings_generation, .. }) =
            &member.report
        {
            let seen = newest.entry(home.clone()).or_default();
            *seen = (*seen).max(*settings_generation);
        }
    }
    members.into_iter().map(|member| node(member, &newest, now)).collect()
}

fn node(member: Member, newest: &BTreeMap<String, i64>, now: Timestamp) -> v1::Node {
    let Member { incarnation, name, life, heard_at, shares_name, report } = member;
    let report = report.unwrap_or_default();
    let is_live = life == Life::Live;
    let until = if is_live { now } else { heard_at };
    let home = report.settings_home.as_ref().filter(|_| is_live);
    let settings_lag = home
        .and_then(|home| newest.get(home))
        .map_or(0, |newest| newest - report.settings_generation);
    // Of a node that cannot be read it is not known when it started.
    let started_at = (report.started_at != Timestamp::default()).then_some(report.started_at);
    let uptime = started_at.map(|at| until.duration_since(at));
    v1::Node {
        name: format!("nodes/{name}"),
        roles: report.roles.iter().filter_map(|role| role_of(role)).map(Into::into).collect(),
        channel: Some(channel(&report)),
        version: report.version,
        address: report.address,
        start_time: started_at.map(timestamp),
        uptime: uptime.map(|uptime| duration(Duration::try_from(uptime).unwrap_or_default())),
        settings_generation: report.settings_generation,
        waiting_alarms: i64::try_from(report.waiting_alarms).unwrap_or(i64::MAX),
        settings_trouble: report.settings_trouble,
        state: match life {
            Life::Live => v1::NodeState::Live.into(),
            Life::Dead => v1::NodeState::Dead.into(),
        },
        last_heard_time: Some(timestamp(heard_at)),
        uid: incarnation.0,
        settings_lag,
        clock_ahead: report.clock_ahead_ms.map(signed_duration),
        shares_name,
        leads: report.leads,
    }
}

/// None for a role that only a later version has.
fn role_of(name: &str) -> Option<v1::NodeRole> {
    let role = Role::ALL.into_iter().find(|role| role.name() == name)?;
    Some(match role {
        Role::Pan => v1::NodeRole::Pan,
        Role::Mnt => v1::NodeRole::Mnt,
        Role::Psn => v1::NodeRole::Psn,
    })
}

fn channel(report: &NodeReport) -> v1::Channel {
    let overall = mailbox_channel(String::new(), &report.channel);
    let mailbox = |one: &MailboxReport| mailbox_channel(one.mailbox.clone(), &one.channel);
    v1::Channel {
        state: overall.state,
        reason: overall.reason,
        remedy: overall.remedy,
        retry_time: overall.retry_time,
        connections: i32::try_from(report.connections).unwrap_or(i32::MAX),
        token_expire_time: report.token_expires_at.map(timestamp),
        mailboxes: report.mailboxes.iter().map(mailbox).collect(),
    }
}

fn mailbox_channel(email_address: String, channel: &ChannelReport) -> v1::MailboxChannel {
    let ChannelReport { state, reason, remedy, retry_at } = channel.clone();
    let state = match state {
        ChannelState::NotConfigured => v1::ChannelState::NotConfigured,
        ChannelState::Standby => v1::ChannelState::Standby,
        ChannelState::Open => v1::ChannelState::Open,
        ChannelState::Paused => v1::ChannelState::Paused,
        ChannelState::Closed => v1::ChannelState::Closed,
        ChannelState::Unknown => v1::ChannelState::Unspecified,
    };
    let retry_time = retry_at.map(timestamp);
    v1::MailboxChannel { email_address, state: state.into(), reason, remedy, retry_time }
}

#[cfg(test)]
mod tests {
    use nuncio_nodes::testing;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

    fn member(name: &str, life: Life, home: Option<&str>, generation: i64) -> Member {
        let report = NodeReport {
            settings_home: home.map(str::to_owned),
            settings_generation: generation,
            started_at: NOW - Duration::from_mins(10),
            ..NodeReport::default()
        };
        Member { heard_at: NOW - Duration::from_mins(1), ..testing::member(name, life, report) }
    }

    #[test]
    fn a_node_lags_behind_those_that_live_and_have_the_same_settings() {
        let told = nodes(
            vec![
                member("ahead-but-dead", Life::Dead, Some("etcd"), 9),
                member("behind", Life::Live, Some("etcd"), 3),
                member("newest", Life::Live, Some("etcd"), 5),
                member("on-its-own", Life::Live, None, 1),
                member("other-cluster", Life::Live, Some("etcd 2"), 1),
            ],
            NOW,
        );

        let lags: Vec<_> = told.iter().map(|node| node.settings_lag).collect();
        assert_eq!(lags, [0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_dead_node_ran_until_it_was_last_heard_of() {
        let told = nodes(vec![member("a", Life::Dead, None, 1)], NOW).remove(0);

        assert_eq!(told.state(), v1::NodeState::Dead);
        assert_eq!(told.uptime.unwrap().seconds, 9 * 60);
        assert_eq!(told.last_heard_time, Some(timestamp(NOW - Duration::from_mins(1))));
    }

    #[test]
    fn a_node_of_another_version_has_a_name_and_little_else() {
        let unreadable = Member { report: None, ..member("a", Life::Live, None, 1) };

        let told = nodes(vec![unreadable], NOW).remove(0);

        assert_eq!((told.name.as_str(), told.version.as_str()), ("nodes/a", ""));
        assert_eq!((told.start_time, told.uptime), (None, None));
    }
}
