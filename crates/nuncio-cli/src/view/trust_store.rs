//! The trust store for people.

use nuncio_api::v1::{TrustStore, TrustStoreChange, TrustUse, TrustedCertificate};

use crate::output::{Cell, Table, Tone};
use crate::time::moment;

/// With so many days left an expiry is a warning, as the server's own.
const WARNING_DAYS: i64 = 60;

/// A certificate on each line.
pub(crate) fn certificates(store: &TrustStore) -> Table {
    let mut table = Table::with_head(["NAME", "SUBJECT", "TRUSTED FOR", "EXPIRES", "LEFT", "NOTE"]);
    for one in &store.certificates {
        table.row([
            Cell::from(&one.name),
            Cell::from(&one.subject),
            Cell::from(uses(one)),
            Cell::from(moment(one.not_after_time.as_ref())),
            left(one),
            Cell::from(&one.description),
        ]);
    }
    table
}

/// Everything of one but its text.
pub(crate) fn certificate(one: &TrustedCertificate) -> Table {
    let mut table = Table::list();
    table.value("name", &one.name);
    if !one.description.is_empty() {
        table.value("description", &one.description);
    }
    table.value("subject", &one.subject);
    table.value("issuer", &one.issuer);
    table.value("valid from", moment(one.not_before_time.as_ref()));
    table.value("valid until", moment(one.not_after_time.as_ref()));
    table.value("SHA-256", &one.sha256_fingerprint);
    table.value("trusted for", uses(one));
    table
}

/// A change on each line.
pub(crate) fn changes(changes: &[TrustStoreChange]) -> Table {
    let mut table = Table::with_head(["TIME", "BY", "CHANGE"]);
    for one in changes {
        let time = Cell::from(moment(one.change_time.as_ref()));
        table.row([time, Cell::from(&one.caller), Cell::from(&one.summary)]);
    }
    table
}

fn uses(one: &TrustedCertificate) -> String {
    let names = one.trusted_for().map(|usage: TrustUse| {
        usage.as_str_name().trim_start_matches("TRUST_USE_").to_lowercase().replace('_', "-")
    });
    names.collect::<Vec<_>>().join(", ")
}

fn left(one: &TrustedCertificate) -> Cell {
    let days = one.days_left;
    if days < 0 {
        return Cell::toned(Tone::Bad, "expired");
    }
    let tone = if days <= WARNING_DAYS { Tone::Warning } else { Tone::Plain };
    Cell::toned(tone, format!("{days} d"))
}
