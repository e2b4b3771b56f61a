//! The login: AUTH, mostly in its two-line form.

use std::collections::VecDeque;

use super::{Command, Event, Session, SessionError};
use crate::auth::{Challenge, Login, Mechanism};
use crate::phase::Phase;
use crate::reply::Reply;

/// What stands in place of a secret that the server repeated.
const HIDDEN: &str = "(hidden)";
/// The longest command line with its CRLF, in octets (RFC 5321, section 4.5.3.1.4).
const COMMAND_OCTETS_MAX: usize = 512;

#[derive(Default)]
pub(super) struct State {
    /// What is still to be said, in base64.
    responses: VecDeque<String>,
    challenge: Option<Challenge>,
    secrets: Vec<String>,
}

impl Session {
    /// Logs in, or goes on at once where there is nothing to log in with.
    ///
    /// The response does not stand in the AUTH line itself: that line may have 512 octets only (RFC 4954,
    /// section 4), and a token is mostly longer. A short one does for OAUTHBEARER, which is made for it.
    pub fn login(&mut self, login: &Login) -> Result<(), SessionError> {
        if matches!(login, Login::None) {
            self.events.push_back(Event::Ready);
            return Ok(());
        }
        if !self.is_secured {
            return Err(SessionError::LoginWithoutTls);
        }
        let Some(mechanism) = login.choose(&self.extensions) else {
            let names = login.mechanisms().iter().map(|one| one.name());
            let offered = self.extensions.mechanisms().collect::<Vec<_>>().join(" ");
            return Err(SessionError::NoMechanism {
                wanted: format!("AUTH {}", names.collect::<Vec<_>>().join(" or ")),
                offered: if offered.is_empty() { "no AUTH at all".to_owned() } else { offered },
            });
        };
        self.login.responses = login.responses(mechanism).into();
        self.login.secrets = login.secrets();
        let mut line = format!("AUTH {}", mechanism.name());
        let fits = |response: &mut String| {
            line.len() + 1 + response.len() + "\r\n".len() <= COMMAND_OCTETS_MAX
        };
        if mechanism == Mechanism::Oauthbearer
            && let Some(response) = self.login.responses.pop_front_if(fits)
        {
            line = format!("{line} {response}");
        }
        self.send(Command::Auth(mechanism), &line);
        Ok(())
    }

    pub(super) fn on_auth(
        &mut self,
        mechanism: Mechanism,
        reply: Reply,
    ) -> Result<(), SessionError> {
        match reply.code {
            // A 334 in front of the token says "go on", a 334 behind it carries an error.
            334 => {
                if let Some(response) = self.login.responses.pop_front() {
                    self.send(Command::AuthResponse(mechanism), &response);
                } else {
                    self.login.challenge = Some(Challenge::decode(&reply.lines.join("")));
                    self.send(Command::AuthEnd(mechanism), mechanism.challenge_answer());
                }
                Ok(())
            }
            235 if self.login.responses.is_empty() => {
                self.login = State::default();
                self.events.push_back(Event::Ready);
                Ok(())
            }
            400.. => Err(self.login_refused(mechanism, reply)),
            _ => Err(SessionError::Unexpected { phase: Phase::Auth, reply: reply.into() }),
        }
    }

    pub(super) fn login_refused(&mut self, mechanism: Mechanism, reply: Reply) -> SessionError {
        let challenge = self.login.challenge.take();
        SessionError::LoginRefused { mechanism, reply: reply.into(), challenge }
    }
}

impl State {
    /// Hides secrets that the server repeats.
    pub(super) fn redact(&self, phase: Phase, mut reply: Reply) -> Reply {
        if phase == Phase::Auth {
            for line in &mut reply.lines {
                for secret in &self.secrets {
                    if line.contains(secret) {
                        *line = line.replace(secret, HIDDEN);
                    }
                }
            }
        }
        reply
    }
}
