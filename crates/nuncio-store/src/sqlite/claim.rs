//! Claims.

use std::sync::LazyLock;

use nuncio_core::class::MailClass;
use nuncio_core::ports::job_store::Claim;
use sqlx::AssertSqlSafe;

use crate::rows::waiting;
use crate::sqlite::engine::Transaction;
use crate::sqlite::stage::CLAIM;
use crate::write::engine::LeasedRow;

static SQL: LazyLock<String> =
    LazyLock::new(|| format!("INSERT INTO temp.claimed (id) {};\n{CLAIM}", due()));

pub(super) async fn claim(tx: &mut Transaction<'_>, claim: &Claim) -> sqlx::Result<Vec<LeasedRow>> {
    let leased: Vec<LeasedRow> = sqlx::query_as(AssertSqlSafe(SQL.as_str()))
        .bind(claim.now.as_microsecond())
        .bind(claim.limit)
        .bind(claim.holder.0.as_str())
        .bind(claim.until.as_microsecond())
        .bind(claim.into_body)
        .bind(claim.patient_max)
        .fetch_all(&mut *tx.connection)
        .await?;
    *tx.news |= !leased.is_empty();
    Ok(leased)
}

/// Finds jobs class by class, so that only what is due is looked at. Parameters: `?1` now, `?2` the limit,
/// `?6` how many jobs of patient classes there may be.
///
/// A part of a union is only looked into when those before it have not reached the limit. Those of patient
/// classes come last: no class that is patient is more urgent than one that is not.
pub(super) fn due() -> String {
    let urgent = first_of(|class| !class.is_patient(), "?2");
    let patient = first_of(MailClass::is_patient, "?6");
    format!("{urgent} UNION ALL {patient} LIMIT ?2")
}

/// Selects the first jobs of these classes.
fn first_of(classes: impl Fn(MailClass) -> bool, limit: &str) -> String {
    let of_class = |class: MailClass| {
        format!(
            "SELECT * FROM (SELECT id FROM mail_jobs WHERE {} AND class = '{}' AND due_at_us <= ?1 \
             AND expires_at_us > ?1 ORDER BY due_at_us, id LIMIT {limit})",
            waiting!(),
            class.name()
        )
    };
    let classes = MailClass::ALL.into_iter().filter(|class| classes(*class));
    let all: Vec<_> = classes.map(of_class).collect();
    format!("SELECT * FROM ({} LIMIT {limit})", all.join(" UNION ALL "))
}
