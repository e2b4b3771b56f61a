//! Nodes for people.

use nuncio_api::v1::{ChannelState, Node};

use crate::names;
use crate::output::{Cell, Table};
use crate::time::{moment, span};

/// A list of nodes, one on a line.
pub(crate) fn nodes(nodes: &[Node]) -> Table {
    let mut table = Table::with_head([
        "NODE",
        "ROLES",
        "VERSION",
        "ADDRESS",
        "UPTIME",
        "SETTINGS",
        "CHANNEL",
        "CONNECTIONS",
        "TOKEN UNTIL",
        "QUEUED",
        "SENDING",
        "DEFERRED",
        "HELD",
    ]);
    for node in nodes {
        let roles: Vec<String> = node.roles().map(names::role).collect();
        let channel = node.channel.clone().unwrap_or_default();
        let backlog = node.backlog.unwrap_or_default();
        table.row([
            Cell::from(&node.name),
            Cell::from(roles.join(",")),
            Cell::from(&node.version),
            Cell::from(&node.address),
            Cell::from(span(node.uptime.as_ref())),
            Cell::from(generation(node.settings_generation)),
            state_cell(channel.state()),
            Cell::from(channel.connections.to_string()),
            Cell::from(moment(channel.token_expire_time.as_ref())),
            Cell::from(backlog.queued.to_string()),
            Cell::from(backlog.sending.to_string()),
            Cell::from(backlog.deferred.to_string()),
            Cell::from(backlog.held.to_string()),
        ]);
    }
    table
}

/// Settings that are not followed, alarms that wait, and the channels that are not open: why, and what to do.
pub(crate) fn troubles(nodes: &[Node]) -> Table {
    let mut table = Table::list();
    for node in nodes {
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

fn state_cell(state: ChannelState) -> Cell {
    Cell::toned(names::channel_tone(state), names::channel_state(state))
}

fn generation(generation: i64) -> String {
    if generation == 0 { "-".to_owned() } else { generation.to_string() }
}
