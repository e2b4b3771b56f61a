//! Faults on demand: what goes wrong, in which phase, and how often.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Faults of both servers, as a script or a request to the admin endpoint brings them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultScript {
    pub smtp: Vec<Fault>,
    pub token: Vec<TokenFault>,
}

/// A fault of the submission server.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub phase: Phase,
    pub action: Action,
    #[serde(default)]
    pub when: When,
    /// Only for connections of this mailbox; the phases before AUTH know none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
}

impl Fault {
    /// A fault that is always there.
    pub fn always(phase: Phase, action: Action) -> Self {
        Self { phase, action, when: When::Always, mailbox: None }
    }

    /// A fault that shows the next `n` times.
    pub fn next(n: u64, phase: Phase, action: Action) -> Self {
        Self { phase, action, when: When::Next(n), mailbox: None }
    }
}

/// Where in the SMTP dialogue a fault shows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The TCP connection has been accepted. A reply stands in for the greeting.
    Connect,
    Greeting,
    Ehlo,
    Starttls,
    /// Before the TLS handshake. A reply is sent as plain text in its place.
    Tls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The client may send, but the server has read nothing yet.
    Body,
    /// The whole body has been read.
    EndOfData,
    Quit,
}

/// What goes wrong in the SMTP dialogue.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// This reply in place of the right one; `\n` separates lines. After a 421 the connection ends.
    Reply(String),
    /// Milliseconds of waiting; then all goes on.
    Delay(u64),
    /// Nothing is said or read any more, while the connection stays open.
    Stall,
    /// The connection ends without a word.
    Cut,
    /// In `end_of_data`: the mail is accepted, and the connection ends before the reply. Elsewhere like `cut`.
    CutAfterAccept,
}

/// A fault of the token endpoint.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFault {
    pub action: TokenAction,
    #[serde(default)]
    pub when: When,
}

impl TokenFault {
    /// A fault that is always there.
    pub fn always(action: TokenAction) -> Self {
        Self { action, when: When::Always }
    }

    /// A fault that shows the next `n` times.
    pub fn next(n: u64, action: TokenAction) -> Self {
        Self { action, when: When::Next(n) }
    }
}

/// What goes wrong at the token endpoint.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenAction {
    /// Any answer at all.
    Respond(TokenResponse),
    /// 429 with a body of plain text, `Retry-After` in seconds.
    Throttle { retry_after_s: u64 },
    /// 503 with an empty body, `Retry-After` in seconds.
    Unavailable { retry_after_s: Option<u64> },
    /// 302 to this address.
    Redirect(String),
    /// 200 with a login page in HTML, as a captive portal answers.
    Html,
    /// 200 with this many bytes of white space in front of the JSON.
    HugeBody(usize),
    /// Milliseconds of waiting before the true answer.
    Delay(u64),
    /// Never answers, while the connection stays open.
    Stall,
    /// The connection is reset in place of an answer.
    Reset,
    /// `expires_in` is a text: `"3599"`.
    ExpiresInAsText,
    /// `expires_in` is this JSON.
    ExpiresInAs(String),
    /// `expires_in` is missing.
    ExpiresInMissing,
    /// The token lives for this many seconds.
    Lifetime(u64),
    /// The token has this many characters.
    TokenSize(usize),
}

/// An answer of the token endpoint, word for word.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TokenResponse {
    pub status: u16,
    #[serde(default)]
    pub body: String,
    #[serde(default = "json_content_type")]
    pub content_type: String,
    /// Value of the header `Retry-After`: seconds or a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<String>,
}

fn json_content_type() -> String {
    "application/json; charset=utf-8".to_owned()
}

/// How often a fault shows. Occasions are counted for each fault from the moment it was added.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Always,
    /// The next n occasions.
    Next(u64),
    /// Every k-th occasion: the k-th, the 2k-th, …
    Every(u64),
    /// From one moment to another, in milliseconds since the fault was added: an outage.
    Between { from_ms: u64, to_ms: u64 },
}

/// The faults of a running simulator.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    smtp: Vec<(Fault, Occasions)>,
    token: Vec<(TokenFault, Occasions)>,
    shown: u64,
}

/// What the faults of a phase come to: wait, then perhaps something worse.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict<A> {
    pub(crate) delay: Duration,
    pub(crate) action: Option<A>,
}

impl Faults {
    pub(crate) fn new(script: FaultScript) -> Self {
        let faults = Self::default();
        faults.extend(script);
        faults
    }

    /// Adds a fault of the submission server.
    pub fn push(&self, fault: Fault) {
        self.lock().smtp.push((fault, Occasions::start()));
    }

    /// Adds a fault of the token endpoint.
    pub fn push_token(&self, fault: TokenFault) {
        self.lock().token.push((fault, Occasions::start()));
    }

    /// Adds a whole script.
    pub fn extend(&self, script: FaultScript) {
        script.smtp.into_iter().for_each(|fault| self.push(fault));
        script.token.into_iter().for_each(|fault| self.push_token(fault));
    }

    /// Takes all faults away. Connections that stall go on stalling.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.smtp.clear();
        state.token.clear();
    }

    /// How often a fault has shown.
    pub fn shown(&self) -> u64 {
        self.lock().shown
    }

    /// The faults that show now. The first that is more than a delay decides; delays add up.
    pub(crate) fn smtp(&self, phase: Phase, mailbox: Option<&str>) -> Verdict<Action> {
        let mut state = self.lock();
        let State { smtp, shown, .. } = &mut *state;
        let concerned = smtp.iter_mut().filter(|(fault, _)| {
            fault.phase == phase
                && fault
                    .mailbox
                    .as_deref()
                    .is_none_or(|wanted| mailbox.is_some_and(|it| it.eq_ignore_ascii_case(wanted)))
        });

        let mut verdict = Verdict { delay: Duration::ZERO, action: None };
        for (fault, occasions) in concerned {
            if !occasions.shows(fault.when) {
                continue;
            }
            *shown += 1;
            match &fault.action {
                Action::Delay(ms) => verdict.delay += Duration::from_millis(*ms),
                other @ (Action::Reply(_)
                | Action::Stall
                | Action::Cut
                | Action::CutAfterAccept) => {
                    verdict.action = Some(other.clone());
                    break;
                }
            }
        }
        verdict
    }

    /// The faults of a token request that show now: delays add up, the rest in the order of the script.
    pub(crate) fn token(&self) -> Verdict<Vec<TokenAction>> {
        let mut state = self.lock();
        let State { token, shown, .. } = &mut *state;
        let mut delay = Duration::ZERO;
        let mut actions = Vec::new();
        for (fault, occasions) in token {
            if !occasions.shows(fault.when) {
                continue;
            }
            *shown += 1;
            if let TokenAction::Delay(ms) = fault.action {
                delay += Duration::from_millis(ms);
            } else {
                actions.push(fault.action.clone());
            }
        }
        Verdict { delay, action: Some(actions) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }
}

/// Counts the occasions of one fault.
#[derive(Debug)]
struct Occasions {
    seen: u64,
    since: Instant,
}

impl Occasions {
    fn start() -> Self {
        Self { seen: 0, since: Instant::now() }
    }

    fn shows(&mut self, when: When) -> bool {
        self.seen += 1;
        match when {
            When::Always => true,
            When::Next(n) => self.seen <= n,
            When::Every(k) => k != 0 && self.seen.is_multiple_of(k),
            When::Between { from_ms, to_ms } => {
                let passed = self.since.elapsed();
                Duration::from_millis(from_ms) <= passed && passed < Duration::from_millis(to_ms)
            }
        }
    }
}

#[cfg(test)]
mod tests;
