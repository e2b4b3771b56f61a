//! What may be asked of a running cluster, one order a line.

use super::hosts::{HOSTS, Host, Kind};

pub(super) const HELP: &str = "\
kill HOST            SIGKILL: gone at once
stop HOST            SIGTERM, and wait for its end
start HOST [AHEAD]   start it again; its clock is AHEAD seconds ahead of the machine's, behind it if negative
pause HOST           SIGSTOP: it stands still, and does not know it
resume HOST          SIGCONT
cut HOST OTHER..     no packet passes between HOST and each OTHER any more
heal                 all packets pass again
promote HOST         the standby of PostgreSQL becomes its primary; `start` makes the old one a standby
compact              etcd forgets all revisions but the present ones
status               every host: its address, how it is, what it is cut off from
quit                 stop all; so does the end of the input";

/// An order, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Kill(&'static Host),
    Stop(&'static Host),
    Start { host: &'static Host, ahead_s: i64 },
    Pause(&'static Host),
    Resume(&'static Host),
    Cut { host: &'static Host, others: Vec<&'static Host> },
    Heal,
    Promote(&'static Host),
    Compact,
    Status,
    Help,
    Quit,
}

impl Order {
    /// The order of a line; the error says what would be one.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["kill", name] => Ok(Self::Kill(process(name)?)),
            ["stop", name] => Ok(Self::Stop(process(name)?)),
            ["start", name] => Ok(Self::Start { host: process(name)?, ahead_s: 0 }),
            ["start", name, ahead] => start(process(name)?, ahead),
            ["pause", name] => Ok(Self::Pause(process(name)?)),
            ["resume", name] => Ok(Self::Resume(process(name)?)),
            ["cut", name, ref others @ ..] if !others.is_empty() => {
                let others = others.iter().map(|other| host(other)).collect::<Result<_, _>>()?;
                Ok(Self::Cut { host: process(name)?, others })
            }
            ["heal"] => Ok(Self::Heal),
            ["promote", name] => promote(process(name)?),
            ["compact"] => Ok(Self::Compact),
            ["status"] => Ok(Self::Status),
            ["help"] => Ok(Self::Help),
            ["quit"] => Ok(Self::Quit),
            _ => Err(format!("`{}` is not understood; `help` lists what is", line.trim())),
        }
    }
}

fn start(host: &'static Host, ahead: &str) -> Result<Order, String> {
    let ahead_s = ahead.parse().map_err(|_error| format!("`{ahead}` is no number of seconds"))?;
    if !host.is_node() {
        return Err(format!("{} has always the clock of the machine", host.name));
    }
    Ok(Order::Start { host, ahead_s })
}

fn promote(host: &'static Host) -> Result<Order, String> {
    if host.kind != Kind::Postgres {
        return Err(format!("{} is no server of PostgreSQL", host.name));
    }
    Ok(Order::Promote(host))
}

fn host(name: &str) -> Result<&'static Host, String> {
    Host::named(name).ok_or_else(|| {
        let names: Vec<_> = HOSTS.iter().map(|host| host.name).collect();
        format!("there is no host `{name}`, but {}", names.join(", "))
    })
}

/// A host that is one of its own.
fn process(name: &str) -> Result<&'static Host, String> {
    let host = host(name)?;
    if host.kind == Kind::Provider {
        return Err("the provider is outside of the cluster; cut others off from it".to_owned());
    }
    Ok(host)
}

#[cfg(test)]
mod tests;
