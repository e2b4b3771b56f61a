//! A year of reminders in virtual time: what comes out is exactly what a model says that works another way.
//!
//! The node finds who is due by an index and keeps what it did in a ledger. The model looks at every guest at every
//! tick, knows quiet hours from a walk along the clock, and keeps everything in plain numbers.

mod driver;
mod local_time;
mod model;
mod plan;

use std::collections::BTreeSet;

use driver::Year;
use plan::{HOUR, Plan, Reader};

/// How many guests come and go.
const GUESTS: u64 = 10_000;
/// They live in so many worlds side by side, each with a PAN of its own.
const PARTS: u64 = 2;
/// Asks for another number of guests.
const GUESTS_VARIABLE: &str = "NUNCIO_GUESTS";
/// Repeats what an earlier run has printed.
const SEED_VARIABLE: &str = "NUNCIO_SEED";
/// How many differences are shown.
const SHOWN: usize = 5;

/// A mail that was made for a guest, and when it went out, if it did. Times are in seconds of Unix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mail {
    guest: usize,
    reader: Reader,
    address: String,
    expiry: i64,
    before: i64,
    made_at: i64,
    out_at: Option<i64>,
}

#[test]
fn in_a_year_every_guest_gets_exactly_the_reminders_that_the_model_expects() {
    let (guests, seed) = (number(GUESTS_VARIABLE, || GUESTS), number(SEED_VARIABLE, new_seed));
    say(&format!("a year of reminders: {SEED_VARIABLE}={seed} {GUESTS_VARIABLE}={guests}"));
    std::thread::scope(|scope| {
        for part in 0..PARTS {
            let (seed, guests) = (seed.wrapping_add(part), (guests + part) / PARTS);
            scope.spawn(move || {
                live_and_compare(&Plan::new(seed, usize::try_from(guests).unwrap()));
            });
        }
    });
}

/// Panics if what the PAN does is not what the model expects.
fn live_and_compare(plan: &Plan) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let lived = runtime.block_on(Year::live(plan));
    let expected = model::expect(plan);
    let count =
        |wanted: &dyn Fn(&Mail) -> bool| lived.mails.iter().filter(|mail| wanted(mail)).count();
    say(&format!(
        "{} guests: {} reminders, {} of them sent, {} made an hour late or more",
        plan.guests.len(),
        lived.mails.len(),
        count(&|mail| mail.out_at.is_some()),
        count(&|mail| mail.expiry - mail.before + HOUR <= mail.made_at),
    ));
    compare(plan, &lived.mails, &expected.mails);
    check_that_none_came_twice(&lived.mails);
    for (guest, (lived, expected)) in lived.ends.iter().zip(&expected.ends).enumerate() {
        assert_eq!(lived, expected, "the end of guest {guest}: {:#?}", plan.guests[guest]);
    }
}

fn compare(plan: &Plan, lived: &[Mail], expected: &[Mail]) {
    let (made, wanted): (BTreeSet<_>, BTreeSet<_>) =
        (lived.iter().collect(), expected.iter().collect());
    let (wrong, missed): (Vec<_>, Vec<_>) =
        (made.difference(&wanted).collect(), wanted.difference(&made).collect());
    let first = wrong.iter().chain(&missed).map(|mail| mail.guest).min();
    assert!(
        first.is_none() && lived.len() == expected.len(),
        "{} mails were not expected: {:#?}\n{} are missing: {:#?}\nthe first guest: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(SHOWN)],
        missed.len(),
        &missed[..missed.len().min(SHOWN)],
        first.map(|guest| &plan.guests[guest]),
    );
}

/// This the ledger promises, whatever the model says.
fn check_that_none_came_twice(mails: &[Mail]) {
    let (mut places, mut moments) = (BTreeSet::new(), BTreeSet::new());
    for mail in mails.iter().filter(|mail| mail.out_at.is_some()) {
        let Mail { guest, reader, expiry, before, .. } = mail;
        assert!(places.insert((guest, reader, expiry, before)), "twice: {mail:?}");
    }
    for mail in mails {
        let Mail { guest, reader, made_at, .. } = mail;
        assert!(moments.insert((guest, reader, made_at)), "two at once: {mail:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the only way from a command to a test")]
fn number(variable: &str, otherwise: impl FnOnce() -> u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or_else(otherwise, |text| text.parse().expect("the variable holds a number"))
}

fn new_seed() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

/// Writes a line that is seen whatever becomes of the test.
fn say(line: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
