//! What there is to say of the nodes and of each of them.

use std::collections::BTreeSet;

use nuncio_api::v1::{Backlog, ChannelState, Node, NodeState};

use super::{Finding, Verdict};
use crate::names;
use crate::time::moment;
use crate::view;

/// From when on the clock of a machine is worth a word, in seconds: that of the node itself, when it starts.
const CLOCK_AHEAD_TOLD_S: i64 = 2;

/// Whether there are nodes, and of which versions.
pub(super) fn server(address: &str, nodes: &[Node]) -> Finding {
    let live: Vec<&Node> = nodes.iter().filter(|node| !is_dead(node)).collect();
    let versions: BTreeSet<&str> = live.iter().map(|node| node.version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let count = live.len();
    let detail = format!("{address} answers; {count} live, version {}", versions.join(" and "));
    match versions.len() {
        0 => Finding::new(
            "server",
            Verdict::Problem,
            format!("{address} answers, but knows no node"),
        ),
        1 => Finding::new("server", Verdict::Well, detail),
        _ => Finding::new("server", Verdict::Warning, detail)
            .remedy("bring all nodes to one version"),
    }
}

/// Everything that is to be said of one node; what is well with it only of its channel.
pub(super) fn node(node: &Node) -> Vec<Finding> {
    if is_dead(node) {
        return vec![dead(node)];
    }
    let parts = [shares_name(node), followed(node), lag(node), clock(node), Some(channel(node))];
    parts.into_iter().flatten().collect()
}

pub(super) fn backlog(backlog: &Backlog) -> Finding {
    let detail = view::node::backlog(backlog);
    if backlog.held == 0 {
        return Finding::new("backlog", Verdict::Well, detail);
    }
    Finding::new("backlog", Verdict::Warning, detail)
        .remedy("see what the held ones wait for with `nuncio jobs list --state held`")
}

fn is_dead(node: &Node) -> bool {
    node.state() == NodeState::Dead
}

fn dead(node: &Node) -> Finding {
    let since = moment(node.last_heard_time.as_ref());
    let detail = format!("dead; last heard of at {since}");
    Finding::new(&node.name, Verdict::Warning, detail).remedy(
        "look why it has ended or does not reach the store; what it was sending, others take over",
    )
}

fn shares_name(node: &Node) -> Option<Finding> {
    node.shares_name.then(|| {
        let detail =
            format!("another live node has this name too; this one is at {}", node.address);
        Finding::new(&node.name, Verdict::Warning, detail)
            .remedy("give each node a name of its own by `node.name`")
    })
}

/// Nothing where the node hears of new settings, or has its own.
fn followed(node: &Node) -> Option<Finding> {
    let trouble = node.settings_trouble.as_str();
    if trouble.is_empty() {
        return None;
    }
    let detail = format!("new ones are not heard of, the last good ones are used: {trouble}");
    let finding = Finding::new(format!("settings of {}", node.name), Verdict::Warning, detail);
    Some(finding.remedy("bring etcd back, or correct `etcd.*` in the configuration of this node"))
}

fn lag(node: &Node) -> Option<Finding> {
    if node.settings_lag <= 0 {
        return None;
    }
    let (generation, lag) = (node.settings_generation, node.settings_lag);
    let detail = format!("generation {generation}, {lag} behind the other nodes");
    let finding = Finding::new(format!("settings of {}", node.name), Verdict::Warning, detail);
    Some(finding.remedy("look again in some seconds; if it stays so, look at the node's log"))
}

fn clock(node: &Node) -> Option<Finding> {
    let ahead = node.clock_ahead?;
    if ahead.seconds.abs() < CLOCK_AHEAD_TOLD_S {
        return None;
    }
    let detail = format!("{} against that of the store", view::node::clock(node));
    let finding = Finding::new(format!("clock of {}", node.name), Verdict::Warning, detail);
    Some(
        finding.remedy("set the clocks of both machines by NTP; tokens and mails go by the node's"),
    )
}

fn channel(node: &Node) -> Finding {
    let channel = node.channel.clone().unwrap_or_default();
    let verdict = match channel.state() {
        ChannelState::Open | ChannelState::Standby => Verdict::Well,
        ChannelState::Paused => Verdict::Warning,
        ChannelState::NotConfigured | ChannelState::Closed | ChannelState::Unspecified => {
            Verdict::Problem
        }
    };
    let state = names::channel_state(channel.state()).to_lowercase().replace('_', " ");
    let detail = match channel.reason.as_str() {
        "" => state,
        reason => format!("{state}: {reason}"),
    };
    Finding::new(format!("channel of {}", node.name), verdict, detail).remedy(channel.remedy)
}
