//! Who may log in: tokens and passwords, and how a refusal is worded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::clock;
use crate::config::{AuthFailure, Mailbox};
use crate::world::World;

/// A mechanism of AUTH.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mechanism {
    Xoauth2,
    Oauthbearer,
    Plain,
    Login,
}

/// Who has logged in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Address of the mailbox as it is configured.
    pub(crate) mailbox: String,
    /// The token it was done with.
    pub(crate) token: Option<String>,
}

/// How a login is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// With this reply.
    AtOnce(String),
    /// With `334` and this text; after the client's answer to it with `reply`.
    Challenge { text: String, reply: String },
}

impl Mechanism {
    /// The mechanism with this name, if it is offered.
    pub(crate) fn offered(world: &World, name: &str) -> Option<Self> {
        let on = &world.config.smtp.mechanisms;
        match name {
            "XOAUTH2" if on.xoauth2 => Some(Self::Xoauth2),
            "OAUTHBEARER" if on.oauthbearer => Some(Self::Oauthbearer),
            "PLAIN" if on.plain => Some(Self::Plain),
            "LOGIN" if on.login => Some(Self::Login),
            _ => None,
        }
    }

    /// The names of those offered, as EHLO lists them.
    pub(crate) fn names(world: &World) -> Vec<&'static str> {
        let on = &world.config.smtp.mechanisms;
        let all = [
            (on.login, "LOGIN"),
            (on.plain, "PLAIN"),
            (on.xoauth2, "XOAUTH2"),
            (on.oauthbearer, "OAUTHBEARER"),
        ];
        all.into_iter().filter_map(|(on, name)| on.then_some(name)).collect()
    }
}

/// Judges the decoded response of XOAUTH2 or OAUTHBEARER.
pub(crate) fn bearer(
    world: &World,
    mechanism: Mechanism,
    response: &str,
) -> Result<Login, Refused> {
    let credentials = match mechanism {
        Mechanism::Xoauth2 => read_xoauth2(response),
        Mechanism::Oauthbearer => read_oauthbearer(response),
        Mechanism::Plain | Mechanism::Login => None,
    };
    let (user, token) = credentials.ok_or_else(|| refused(world, mechanism))?;
    let mailbox = mailbox(world, &user).ok_or_else(|| refused(world, mechanism))?;
    let grant =
        world.tokens.check(&token, clock::now()).ok_or_else(|| refused(world, mechanism))?;

    let audience_fits = world
        .config
        .smtp
        .audiences
        .iter()
        .any(|known| known.trim_end_matches('/') == grant.audience);
    let role_fits = grant.roles.iter().any(|role| role == "SMTP.SendAsApp");
    let client_fits = mailbox.clients.is_empty() || mailbox.clients.contains(&grant.client_id);
    if !(audience_fits && role_fits && client_fits) {
        return Err(refused(world, mechanism));
    }
    enabled(world, mailbox)?;
    Ok(Login { mailbox: mailbox.address.clone(), token: Some(token) })
}

/// Judges a user and a password.
pub(crate) fn password(world: &World, user: &str, password: &str) -> Result<Login, Refused> {
    let known = mailbox(world, user);
    let fits = |mailbox: &&Mailbox| {
        mailbox.password.as_ref().is_some_and(|known| known.expose() == password)
    };
    let mailbox = known.filter(fits).ok_or_else(|| Refused::AtOnce(unsuccessful(world)))?;
    enabled(world, mailbox)?;
    Ok(Login { mailbox: mailbox.address.clone(), token: None })
}

/// Judges the decoded response of PLAIN (RFC 4616).
pub(crate) fn plain(world: &World, response: &str) -> Result<Login, Refused> {
    let mut parts = response.split('\0');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_acts_as), Some(user), Some(secret), None) => password(world, user, secret),
        _ => Err(Refused::AtOnce(unsuccessful(world))),
    }
}

/// `535 5.7.3`, as Exchange words it.
pub(crate) fn unsuccessful(world: &World) -> String {
    format!("535 5.7.3 Authentication unsuccessful {}", stamp(world))
}

/// Host, time and an id in brackets, which Exchange puts behind many replies.
pub(crate) fn stamp(world: &World) -> String {
    let now = clock::now();
    let id = now.as_microsecond();
    format!(
        "[{} {} {id:016X}]",
        world.config.smtp.host_name,
        now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    )
}

fn enabled(world: &World, mailbox: &Mailbox) -> Result<(), Refused> {
    if !mailbox.smtp_auth_disabled {
        return Ok(());
    }
    Err(Refused::AtOnce(format!(
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. \
         Visit https://aka.ms/smtp_auth_disabled for more information. {}",
        stamp(world)
    )))
}

fn refused(world: &World, mechanism: Mechanism) -> Refused {
    let by_google = "535 5.7.8 Username and Password not accepted. For more information, go to \
                     https://support.google.com/mail/?p=BadCredentials";
    match (mechanism, world.config.smtp.auth_failure) {
        (Mechanism::Oauthbearer, dialect) => {
            // RFC 7628 section 3.2.2
            let url = format!("{}/common/v2.0/.well-known/openid-configuration", world.authority);
            let text =
                json!({ "status": "invalid_token", "scope": "smtp", "openid-configuration": url });
            let reply = match dialect {
                AuthFailure::Exchange => unsuccessful(world),
                AuthFailure::Google => by_google.to_owned(),
            };
            Refused::Challenge { text: STANDARD.encode(text.to_string()), reply }
        }
        (_, AuthFailure::Exchange) => Refused::AtOnce(unsuccessful(world)),
        (_, AuthFailure::Google) => {
            let text = json!({ "status": "401", "schemes": "bearer", "scope": "https://mail.google.com/" });
            Refused::Challenge {
                text: STANDARD.encode(text.to_string()),
                reply: by_google.to_owned(),
            }
        }
    }
}

fn mailbox<'a>(world: &'a World, address: &str) -> Option<&'a Mailbox> {
    world.config.mailboxes.iter().find(|mailbox| mailbox.address.eq_ignore_ascii_case(address))
}

/// User and token of `user=…^Aauth=Bearer …^A^A`.
fn read_xoauth2(response: &str) -> Option<(String, String)> {
    let (user, rest) = response.strip_prefix("user=")?.split_once('\u{1}')?;
    let token = rest.strip_prefix("auth=Bearer ")?.strip_suffix("\u{1}\u{1}")?;
    Some((user.to_owned(), token.to_owned()))
}

/// User and token of `n,a=…,^Ahost=…^Aport=…^Aauth=Bearer …^A^A` (RFC 7628 section 3.1).
fn read_oauthbearer(response: &str) -> Option<(String, String)> {
    let (header, pairs) = response.strip_suffix("\u{1}\u{1}")?.split_once('\u{1}')?;
    let user = header.strip_prefix("n,a=")?.strip_suffix(',')?;
    let user = user.replace("=2C", ",").replace("=3D", "=");
    let token = pairs.split('\u{1}').find_map(|pair| pair.strip_prefix("auth=Bearer "))?;
    Some((user, token.to_owned()))
}
