//! What happens in the year: by chance, and the same for the same seed.

use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The first and the last moment of the year.
pub(super) const YEAR: Range<i64> = 1_767_225_600..1_798_761_600;
/// How often the PAN looks; everything else happens between two looks.
pub(super) const TICK: i64 = 1200;
pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;
/// Clocks are set ahead and back at other times in each of them, or never.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Los_Angeles",
    "America/Havana",
    "America/Santiago",
    "Atlantic/Azores",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
];
/// How many guest types there are; those without a rule of their own have the one of all guests.
pub(super) const TYPES: u64 = 5;
/// How often the settings are changed.
const CHANGES_OF_SETTINGS: u64 = 8;
/// How often the PAN is down, from a minute to some days.
const DOWNTIMES: u64 = 60;
/// The provider takes no mail once in each such time, for hours: shorter than a reminder lives.
const OUTAGE_EACH: i64 = 3 * DAY;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Reader {
    Guest,
    Sponsor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Open,
    Suspended,
    Expired,
    Denied,
}

/// A guest as far as it matters. Addresses are numbered: another number is another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) state: State,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) kind: u64,
    pub(super) zone: usize,
    pub(super) email: Option<u64>,
    pub(super) sponsor: Option<u64>,
}

/// What happens to a guest; what is not possible then does not happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Enter(Person),
    Extend(i64),
    /// A new end by an import: earlier, or later.
    MoveEnd(i64),
    Suspend,
    Reinstate,
    Approve,
    Deny,
    Email(Option<u64>),
    Sponsor(Option<u64>),
    Zone(usize),
    Kind(u64),
    Remove,
}

/// Stages in seconds, the longest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) is_on: bool,
    pub(super) stages: Vec<i64>,
    pub(super) copy: bool,
}

/// A rule for each guest type, the last one for all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) rules: Vec<Rule>,
    /// Start and end in quarters of an hour after midnight.
    pub(super) quiet: Option<(i64, i64)>,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) zones: Vec<TimeZone>,
    /// From when on they count.
    pub(super) settings: Vec<(i64, Settings)>,
    pub(super) downtimes: Vec<Range<i64>>,
    pub(super) outages: Vec<Range<i64>>,
    /// What happens to each guest, in order.
    pub(super) guests: Vec<Vec<(i64, Act)>>,
}

/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct Dice(u64);

impl Plan {
    pub(super) fn new(seed: u64, guests: usize) -> Self {
        let mut dice = Dice(seed);
        let zones = ZONES.map(|name| TimeZone::get(name).unwrap()).to_vec();
        let mut settings = vec![(YEAR.start, dice.settings())];
        for _ in 0..CHANGES_OF_SETTINGS {
            settings.push((dice.moment(YEAR), dice.settings()));
        }
        settings.sort_by_key(|(at, _)| *at);
        let downtimes = dice.spans(DOWNTIMES, &[60, HOUR, DAY, 3 * DAY]);
        let outages = dice.outages();
        let guests = (0..guests).map(|_| dice.life()).collect();
        Self { zones, settings, downtimes, outages, guests }
    }

    pub(super) fn is_pan_up(&self, at: i64) -> bool {
        !self.downtimes.iter().any(|span| span.contains(&at))
    }

    pub(super) fn is_provider_up(&self, at: i64) -> bool {
        !self.outages.iter().any(|span| span.contains(&at))
    }

    pub(super) fn ticks() -> impl Iterator<Item = i64> {
        (YEAR.start..YEAR.end).step_by(usize::try_from(TICK).unwrap())
    }
}

impl Rule {
    pub(super) fn of(settings: &Settings, kind: u64) -> &Self {
        let own = usize::try_from(kind).unwrap();
        settings.rules.get(own).unwrap_or_else(|| settings.rules.last().unwrap())
    }
}

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).unwrap()]
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Any second, but none of a tick: who comes first would be a matter of taste.
    fn moment(&mut self, within: Range<i64>) -> i64 {
        let at = within.start + self.seconds(within.end - within.start);
        if at % TICK == 0 { at + 1 } else { at }
    }

    fn seconds(&mut self, most: i64) -> i64 {
        i64::try_from(self.below(u64::try_from(most.max(1)).unwrap())).unwrap()
    }

    fn spans(&mut self, count: u64, most: &[i64]) -> Vec<Range<i64>> {
        let span = |dice: &mut Self| {
            let start = dice.moment(YEAR);
            let most = dice.one_of(most);
            start..start + 60 + dice.seconds(most)
        };
        (0..count).map(|_| span(self)).collect()
    }

    fn outages(&mut self) -> Vec<Range<i64>> {
        let each = usize::try_from(OUTAGE_EACH).unwrap();
        let outage = |from: i64| {
            let start = from + self.seconds(DAY);
            let most = self.one_of(&[HOUR, 6 * HOUR, 40 * HOUR]);
            start..start + 60 + self.seconds(most)
        };
        YEAR.step_by(each).map(outage).collect()
    }

    fn settings(&mut self) -> Settings {
        let rule = |dice: &mut Self| {
            let all = [30 * DAY, 7 * DAY, 3 * DAY, DAY, 8 * HOUR, 2 * HOUR, 10 * 60];
            let mut stages: Vec<_> = all.into_iter().filter(|_| dice.one_in(2)).collect();
            if stages.is_empty() {
                stages.push(3 * DAY);
            }
            Rule { is_on: !dice.one_in(8), stages, copy: dice.one_in(3) }
        };
        let rules = (0..TYPES - 1).map(|_| rule(self)).collect();
        let quiet = [None, Some((84, 28)), Some((90, 10)), Some((1, 11)), Some((48, 52))];
        Settings { rules, quiet: self.one_of(&quiet) }
    }

    /// What happens to a guest from the first to the last day.
    fn life(&mut self) -> Vec<(i64, Act)> {
        let mut at = self.moment(YEAR.start..YEAR.end - DAY);
        let mut person = self.person(at);
        let mut acts = vec![(at, Act::Enter(person))];
        for _ in 0..self.below(9) {
            // Most of what happens, happens when the end is near.
            let near = person.to - self.seconds(8 * DAY);
            at = if self.one_in(2) && at < near { near } else { at + self.seconds(6 * DAY) };
            at = self.moment(at + 1..at + 2);
            if YEAR.end <= at {
                break;
            }
            let act = self.act(at, &mut person);
            acts.push((at, act));
        }
        acts
    }

    fn person(&mut self, now: i64) -> Person {
        let from = if self.one_in(3) { now + self.seconds(5 * DAY) } else { now };
        let length = self.one_of(&[6 * HOUR, 2 * DAY, 10 * DAY, 40 * DAY, 120 * DAY]);
        let to = from + 60 + self.seconds(length);
        // Many accesses end at a full hour, so that their stages come right at a tick.
        let to = if self.one_in(2) { to - to % HOUR + HOUR } else { to };
        Person {
            state: if self.one_in(6) { State::Pending } else { State::Open },
            from,
            to,
            kind: self.below(TYPES),
            zone: self.zone(),
            email: (!self.one_in(10)).then_some(0),
            sponsor: (!self.one_in(4)).then_some(0),
        }
    }

    fn zone(&mut self) -> usize {
        usize::try_from(self.below(ZONES.len() as u64)).unwrap()
    }

    /// `person` is only a guess of how the guest is then, good enough for likely acts.
    fn act(&mut self, now: i64, person: &mut Person) -> Act {
        let address = |dice: &mut Self| (!dice.one_in(4)).then(|| dice.below(3));
        match self.below(14) {
            0..3 => {
                person.to = person.to.max(now) + 60 + self.seconds(20 * DAY);
                Act::Extend(person.to)
            }
            3 => {
                person.to = now + 60 + self.seconds(6 * DAY);
                Act::MoveEnd(person.to)
            }
            4..6 => Act::Suspend,
            6..9 => Act::Reinstate,
            9 => Act::Approve,
            10 if person.state == State::Pending => Act::Deny,
            10 | 11 => {
                if self.one_in(2) {
                    Act::Email(address(self))
                } else {
                    Act::Sponsor(address(self))
                }
            }
            12 => {
                if self.one_in(2) {
                    Act::Zone(self.zone())
                } else {
                    Act::Kind(self.below(TYPES))
                }
            }
            _ if self.one_in(2) => Act::Remove,
            _ => {
                let again = self.person(now);
                // Somebody who was removed and is made again may have the same end.
                *person = if self.one_in(3) && now < person.to {
                    Person { to: person.to, from: now, ..again }
                } else {
                    again
                };
                Act::Enter(*person)
            }
        }
    }
}

pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}
