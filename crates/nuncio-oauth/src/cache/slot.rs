//! What is known of one client's token, and what to do about it. No I/O, no clock.

use std::time::Duration;

use nuncio_core::job::Reason;
use nuncio_core::ports::token::{Token, TokenError, TokenErrorKind};
use nuncio_core::secret::AccessToken;
use tokio::sync::watch;
use tokio::time::Instant;

/// The part of its life after which a token is renewed, at the earliest.
const REFRESH_AT: f64 = 0.75;
/// The further part over which nodes spread their refreshes.
const REFRESH_SPREAD: f64 = 0.05;
/// So long before its end a token is given out only if there is no other, as MSAL does; for short
/// lives it is a tenth.
const URGENT_BEFORE_END: Duration = Duration::from_mins(5);
/// So long before its end a token is of no use to a new connection; for short lives a fiftieth.
const END_MARGIN: Duration = Duration::from_secs(10);
/// The least time between two requests that follow refused tokens. Entra ID takes more for a loop
/// (AADSTS50196).
pub(super) const FORCED_REFRESH_EVERY: Duration = Duration::from_mins(1);
/// The pause after a fault that came without `Retry-After`. It doubles with each further fault.
const FAULT_PAUSE_FIRST: Duration = Duration::from_secs(1);
const FAULT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause after a refusal, as MSAL Python has it. It doubles with each further refusal.
const REFUSAL_PAUSE_FIRST: Duration = Duration::from_mins(1);
const REFUSAL_PAUSE_MAX: Duration = Duration::from_mins(10);

pub(super) type Outcome = Result<Token, TokenError>;
type Landing = watch::Receiver<Option<Outcome>>;

#[derive(Debug, Default)]
pub(super) struct Slot {
    held: Option<Held>,
    trouble: Option<Trouble>,
    /// The provider has refused the last token, and no other has come since.
    token_refused: bool,
    /// When a refused token last led to a request.
    forced_at: Option<Instant>,
    flight: Option<Landing>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    refresh_at: Instant,
    urgent_at: Instant,
    ends_at: Instant,
}

/// The last request failed.
#[derive(Debug)]
struct Trouble {
    error: TokenError,
    until: Instant,
    /// Doubles with each failure of the same kind.
    pause: Duration,
}

/// What to do for a caller.
#[derive(Debug)]
pub(super) enum Step {
    Serve(Token),
    /// It is time to renew it, but nobody has to wait for that.
    ServeAndRefresh(Token),
    /// Wait for a request. If it fails, what is still held will do.
    Fetch,
    Refuse(TokenError),
}

impl Slot {
    pub(super) fn step(&self, now: Instant) -> Step {
        let trouble = self.trouble.as_ref().filter(|trouble| now < trouble.until);
        let held = self.held.as_ref().filter(|held| now < held.ends_at);
        match (held, trouble) {
            (Some(held), _) if now < held.refresh_at => Step::Serve(held.token.clone()),
            (Some(held), Some(_)) => Step::Serve(held.token.clone()),
            (Some(held), None) if now < held.urgent_at => Step::ServeAndRefresh(held.token.clone()),
            (None, Some(trouble)) => Step::Refuse(trouble.error.clone().after(trouble.until - now)),
            (None, None) if self.may_not_force(now) => Step::Refuse(refused_again()),
            (_, None) => Step::Fetch,
        }
    }

    /// The token, if it is still of use.
    pub(super) fn held(&self, now: Instant) -> Option<&Token> {
        self.held.as_ref().filter(|held| now < held.ends_at).map(|held| &held.token)
    }

    /// The request under way.
    pub(super) fn flight(&self) -> Option<Landing> {
        // A closed channel is that of a request that panicked.
        self.flight.clone().filter(|landing| landing.has_changed().is_ok())
    }

    pub(super) fn take_off(&mut self, landing: Landing, now: Instant) {
        self.flight = Some(landing);
        if self.token_refused {
            self.forced_at = Some(now);
        }
    }

    pub(super) fn land(&mut self, token: Token, asked: Instant, life: Duration, jitter: f64) {
        let ends_at = asked + life;
        self.held = Some(Held {
            token,
            refresh_at: asked + life.mul_f64(REFRESH_AT + REFRESH_SPREAD * jitter),
            urgent_at: ends_at - URGENT_BEFORE_END.min(life / 10),
            ends_at: ends_at - END_MARGIN.min(life / 50),
        });
        self.flight = None;
        self.trouble = None;
        self.token_refused = false;
    }

    /// Returns how long nobody will ask again.
    pub(super) fn fail(&mut self, error: TokenError, now: Instant, jitter: f64) -> Duration {
        self.flight = None;
        self.forced_at = None; // No token came, so there is none that the provider could refuse again.
        let before =
            self.trouble.take().filter(|before| is_fatal(&before.error) == is_fatal(&error));
        let (first, most) = match error.kind {
            TokenErrorKind::Fatal => (REFUSAL_PAUSE_FIRST, REFUSAL_PAUSE_MAX),
            TokenErrorKind::Temporary { .. } => (FAULT_PAUSE_FIRST, FAULT_PAUSE_MAX),
        };
        let pause = before.map_or(first, |before| (before.pause * 2).min(most));
        let wait = match error.kind {
            TokenErrorKind::Temporary { retry_after: Some(asked) } => asked.max(pause),
            TokenErrorKind::Temporary { retry_after: None } | TokenErrorKind::Fatal => pause,
        };
        let wait = wait.mul_f64(1.0 + 0.1 * jitter); // So that nodes do not come back in step.
        self.trouble = Some(Trouble { error, until: now + wait, pause });
        wait
    }

    /// Forgets the token if it is the refused one. Returns whether it was.
    pub(super) fn invalidate(&mut self, refused: &AccessToken) -> bool {
        let is_it = self.held.as_ref().is_some_and(|held| held.token.access_token == *refused);
        if is_it {
            self.held = None;
            self.token_refused = true;
        }
        is_it
    }

    /// The endpoint gives tokens to this client: the next caller may ask at once, whatever failed before.
    pub(super) fn end_pause(&mut self) {
        self.trouble = None;
        self.forced_at = None;
    }

    fn may_not_force(&self, now: Instant) -> bool {
        let too_soon = self.forced_at.is_some_and(|at| now < at + FORCED_REFRESH_EVERY);
        self.token_refused && too_soon && self.flight().is_none()
    }
}

fn is_fatal(error: &TokenError) -> bool {
    error.kind == TokenErrorKind::Fatal
}

fn refused_again() -> TokenError {
    let reason = Reason::new(
        "ACCESS_TOKEN_REFUSED",
        "the provider refused two access tokens within a minute, so no further one is fetched now",
    )
    .remedy(
        "check that the scope fits the provider, that the client may send as this mailbox, and that \
         the mailbox allows authenticated SMTP",
    );
    TokenError { kind: TokenErrorKind::Fatal, reason, presented_chain: Vec::new() }
}
