//! What has to come out: every guest is looked at at every tick, by the rules as the user's page tells them.

use std::collections::BTreeSet;

use super::Mail;
use super::local_time::{LocalTime, Quiet};
use super::plan::{Act, Person, Plan, Reader, Rule, State};

pub(super) struct Expected {
    pub(super) mails: Vec<Mail>,
    /// How each guest is at the end of the year.
    pub(super) ends: Vec<Option<(State, i64)>>,
}

/// What a tick is like for everybody.
struct Tick {
    at: i64,
    is_pan_up: bool,
    is_provider_up: bool,
    settings: usize,
}

/// One guest over the year.
#[derive(Default)]
struct Life {
    person: Option<Person>,
    /// What is done, by expiry, stage and reader.
    done: BTreeSet<(i64, i64, Reader)>,
    /// Mails that have not gone out, by their place among all.
    waiting: Vec<usize>,
    /// What was done by mails that a more urgent one has replaced before they went out.
    replaced: Vec<(i64, i64, Reader)>,
    mails: Vec<Mail>,
}

pub(super) fn expect(plan: &Plan) -> Expected {
    let ticks: Vec<Tick> = Plan::ticks()
        .map(|at| Tick {
            at,
            is_pan_up: plan.is_pan_up(at),
            is_provider_up: plan.is_provider_up(at),
            settings: plan.settings.partition_point(|(from, _)| *from <= at) - 1,
        })
        .collect();
    let clocks: Vec<_> = plan.zones.iter().map(LocalTime::walk).collect();
    let quiet_of = |(start, end)| clocks.iter().map(|clock| clock.quiet(start, end)).collect();
    let quiet: Vec<Option<Vec<Quiet>>> =
        plan.settings.iter().map(|(_, settings)| settings.quiet.map(quiet_of)).collect();
    let mut expected = Expected { mails: Vec::new(), ends: Vec::new() };
    for (guest, acts) in plan.guests.iter().enumerate() {
        let mut life = Life::default();
        let mut acts = acts.iter().peekable();
        let first = acts.peek().map_or(0, |(at, _)| ticks.partition_point(|tick| tick.at < *at));
        for tick in &ticks[first..] {
            while let Some((at, act)) = acts.next_if(|(at, _)| *at <= tick.at) {
                life.happens(*at, act);
            }
            if tick.is_pan_up {
                let settings = &plan.settings[tick.settings].1;
                let quiet = quiet[tick.settings].as_deref();
                life.look(guest, tick.at, |kind| Rule::of(settings, kind), quiet);
            }
            if tick.is_provider_up {
                life.deliver(tick.at);
            }
            if acts.peek().is_none() && life.is_over() {
                break;
            }
        }
        for (at, act) in acts {
            life.happens(*at, act);
        }
        expected.mails.append(&mut life.mails);
        expected.ends.push(life.person.map(|person| (person.state, person.to)));
    }
    expected
}

impl Life {
    fn happens(&mut self, at: i64, act: &Act) {
        let before = self.person;
        self.person = after(before, at, act);
        let waiting = std::mem::take(&mut self.waiting);
        for mail in waiting {
            let Mail { reader, expiry, before: stage, .. } = self.mails[mail];
            let same = |person: &Person| match reader {
                Reader::Guest => person.email,
                Reader::Sponsor => person.sponsor,
            };
            match (&before, &self.person) {
                (Some(before), Some(after))
                    if after.state == State::Open
                        && before.to == after.to
                        && same(before) == same(after) =>
                {
                    self.waiting.push(mail);
                }
                // It is cancelled, and may be made again.
                _ => drop(self.done.remove(&(expiry, stage, reader))),
            }
        }
        if self.person.is_none() {
            // Who is made again is told again what no mail has told.
            for place in self.replaced.drain(..) {
                self.done.remove(&place);
            }
        }
    }

    fn look<'a>(
        &mut self,
        guest: usize,
        now: i64,
        rule: impl Fn(u64) -> &'a Rule,
        quiet: Option<&[Quiet]>,
    ) {
        let Some(person) = &mut self.person else { return };
        let person = match person.state {
            State::Pending | State::Open | State::Suspended if person.to <= now => {
                person.state = State::Expired;
                self.waiting.clear();
                return;
            }
            State::Pending | State::Suspended | State::Denied | State::Expired => return,
            State::Open => *person,
        };
        let rule = rule(person.kind);
        let moment = |stage: &i64| person.to - stage;
        let due = rule
            .stages
            .iter()
            .filter(|stage| rule.is_on && person.from < moment(stage) && moment(stage) <= now);
        let due: Vec<i64> = due.copied().collect();
        let Some(urgent) = due.iter().min().copied() else { return };
        let readers = [(Reader::Guest, person.email), (Reader::Sponsor, person.sponsor)];
        let readers: Vec<_> = readers
            .into_iter()
            .filter(|(reader, _)| rule.copy || *reader == Reader::Guest)
            .filter_map(|(reader, address)| Some((reader, address?)))
            .collect();
        let is_quiet = quiet
            .and_then(|quiet| quiet[person.zone].until(now))
            .is_some_and(|end| end < person.to);
        let wanted =
            readers.iter().any(|(reader, _)| !self.done.contains(&(person.to, urgent, *reader)));
        if wanted && is_quiet {
            return;
        }
        for (reader, address) in readers {
            if !self.done.contains(&(person.to, urgent, reader)) {
                for older in self.waiting.extract_if(.., |mail| self.mails[*mail].reader == reader)
                {
                    let Mail { expiry, before, .. } = self.mails[older];
                    self.replaced.push((expiry, before, reader));
                }
                self.waiting.push(self.mails.len());
                self.mails.push(Mail {
                    guest,
                    reader,
                    address: address_of(guest, reader, address),
                    expiry: person.to,
                    before: urgent,
                    made_at: now,
                    out_at: None,
                });
            }
            // All that is due is dealt with: no longer stage comes after it.
            self.done.extend(due.iter().map(|stage| (person.to, *stage, reader)));
        }
    }

    /// Whether nothing comes any more by itself.
    fn is_over(&self) -> bool {
        self.person.is_none_or(|person| matches!(person.state, State::Expired | State::Denied))
            && self.waiting.is_empty()
    }

    fn deliver(&mut self, now: i64) {
        for mail in self.waiting.drain(..) {
            let mail = &mut self.mails[mail];
            mail.out_at = (now < mail.expiry).then_some(now);
        }
    }
}

pub(super) fn address_of(guest: usize, reader: Reader, address: u64) -> String {
    match reader {
        Reader::Guest => format!("g{guest}.{address}@guest.example"),
        Reader::Sponsor => format!("s{guest}.{address}@contoso.example"),
    }
}

/// The states of a guest, as the page about the directory tells them.
fn after(before: Option<Person>, now: i64, act: &Act) -> Option<Person> {
    let Some(mut person) = before else {
        let Act::Enter(person) = act else { return None };
        return Some(*person);
    };
    let is_over = person.to <= now;
    match (act, person.state) {
        (Act::Extend(to), State::Expired) if person.to.max(now) < *to => {
            person.state = State::Open;
            person.to = *to;
        }
        (Act::Extend(to), State::Pending | State::Open | State::Suspended)
            if person.to.max(now) < *to =>
        {
            person.to = *to;
        }
        (Act::MoveEnd(to), State::Pending | State::Open | State::Suspended) => person.to = *to,
        (Act::Suspend, State::Open) => person.state = State::Suspended,
        (Act::Reinstate, State::Suspended) | (Act::Approve, State::Pending) if !is_over => {
            person.state = State::Open;
        }
        (Act::Deny, State::Pending) => person.state = State::Denied,
        (Act::Email(email), _) => person.email = *email,
        (Act::Sponsor(sponsor), _) => person.sponsor = *sponsor,
        (Act::Zone(zone), _) => person.zone = *zone,
        (Act::Kind(kind), _) => person.kind = *kind,
        (Act::Remove, _) => return None,
        _ => {}
    }
    Some(person)
}
