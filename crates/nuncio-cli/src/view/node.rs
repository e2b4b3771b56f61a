//! Nodes for people.

use nuncio_api::v1::{Backlog, ChannelState, Node, NodeState};

use crate::names;
use crate::output::{Cell, Table, Tone};
use crate::time::{moment, span};

/// A list of nodes, one on a line. What no node has to say has no column.
pub(crate) fn nodes(nodes: &[Node]) -> Table {
    let has_clock = nodes.iter().any(|node| node.clock_ahead.is_some());
    let has_leaders = nodes.iter().any(|node| !node.leads.is_empty());
    let mut head = vec![
        "NODE",
        "STATE",
        "ROLES",
        "VERSION",
        "ADDRESS",
        "UPTIME",
        "SETTINGS",
        "CHANNEL",
        "CONNECTIONS",
        "TOKEN UNTIL",
    ];
    head.extend(has_clock.then_some("CLOCK"));
    head.extend(has_leaders.then_some("LEADS"));
    let mut table = Table::with_head(head);
    for node in nodes {
        let roles: Vec<String> = node.roles().map(names::role).collect();
        let channel = node.channel.clone().unwrap_or_default();
        let mut row = vec![
            Cell::from(&node.name),
            state(node),
            Cell::from(roles.join(",")),
            Cell::from(&node.version),
            Cell::from(&node.address),
            Cell::from(span(node.uptime.as_ref())),
            generation(node),
            state_cell(channel.state()),
            Cell::from(channel.connections.to_string()),
            Cell::from(moment(channel.token_expire_time.as_ref())),
        ];
        row.extend(has_clock.then(|| Cell::from(clock(node))));
        row.extend(has_leaders.then(|| Cell::from(node.leads.join(","))));
        table.row(row);
    }
    table
}

/// What waits in the store of the nodes.
pub(crate) fn backlog(backlog: &Backlog) -> String {
    let Backlog { queued, sending, deferred, held } = backlog;
    format!("{queued} queued, {sending} sending, {deferred} deferred, {held} held")
}

/// Names that are not unique, settings that are not followed, alarms that wait, and the channels that are not open: why, and
/// what to do.
pub(crate) fn troubles(nodes: &[Node]) -> Table {
    let mut table = Table::list();
    for node in nodes.iter().filter(|node| node.state() != NodeState::Dead) {
        if node.shares_name {
            let trouble = "another live node has it too: give each a `node.name` of its own";
            table.row([Cell::from(&node.name), Cell::from("name"), Cell::from(trouble)]);
        }
        if !node.settings_trouble.is_empty() {
            let trouble = format!("the last good ones are used: {}", node.settings_trouble);
            table.row([Cell::from(&node.name), Cell::from("settings"), Cell::from(trouble)]);
        }
        if 0 < node.waiting_alarms {
            let waiting = format!("{} wait until an MnT takes them", node.waiting_alarms);
            table.row([Cell::from(&node.name), Cell::from("alarms"), Cell::from(waiting)]);
        }
        for mailbox in node.channel.iter().flat_map(|channel| &channel.mailboxes) {
            if mailbox.reason.is_empty() && mailbox.remedy.is_empty() {
                continue;
            }
            let whose = format!("{} {}", node.name, mailbox.email_address);
            table.row([
                Cell::from(whose),
                state_cell(mailbox.state()),
                Cell::from(&mailbox.reason),
            ]);
            if !mailbox.remedy.is_empty() {
                table.row([Cell::from(""), Cell::from("do"), Cell::from(&mailbox.remedy)]);
            }
            if mailbox.retry_time.is_some() {
                let again = moment(mailbox.retry_time.as_ref());
                table.row([Cell::from(""), Cell::from("again"), Cell::from(again)]);
            }
        }
    }
    table
}

/// Of a dead node since when: it may have died up to a heartbeat later.
fn state(node: &Node) -> Cell {
    match node.state() {
        NodeState::Live => Cell::toned(Tone::Good, "LIVE"),
        NodeState::Dead => {
            let since = moment(node.last_heard_time.as_ref());
            Cell::toned(Tone::Bad, format!("DEAD since {since}"))
        }
        NodeState::Unspecified => Cell::from("-"),
    }
}

fn state_cell(state: ChannelState) -> Cell {
    Cell::toned(names::channel_tone(state), names::channel_state(state))
}

fn generation(node: &Node) -> Cell {
    match (node.settings_generation, node.settings_lag) {
        (0, 0) => Cell::from("-"),
        (generation, 0) => Cell::from(generation.to_string()),
        (generation, lag) => Cell::toned(Tone::Warning, format!("{generation} ({lag} behind)")),
    }
}

/// How far the clock of the machine is ahead of the store's.
pub(crate) fn clock(node: &Node) -> String {
    let Some(ahead) = node.clock_ahead else { return "-".to_owned() };
    let tenths = ahead.seconds * 10 + i64::from(ahead.nanos) / 100_000_000;
    let sign = if tenths < 0 { "-" } else { "+" };
    format!("{sign}{}.{}s", tenths.abs() / 10, tenths.abs() % 10)
}
