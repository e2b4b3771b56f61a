//! Claims.

use std::sync::LazyLock;

use nuncio_core::class::MailClass;
use nuncio_core::job::MailJobId;
use nuncio_core::ports::job_store::Claim;
use sqlx::AssertSqlSafe;

use crate::rows::waiting;
use crate::sqlite::engine::Transaction;
use crate::sqlite::stage::CLAIM;
use crate::write::engine::LeasedRow;

/// What leaves no job alone, as nearly every claim.
static OF_ALL: LazyLock<String> = LazyLock::new(|| sql(Except::None));
static WITH_EXCEPTIONS: LazyLock<String> = LazyLock::new(|| sql(Except::Some));

/// Whether there are jobs that a claim leaves alone.
#[derive(Clone, Copy)]
pub(super) enum Except {
    None,
    /// Parameter `?7` names them: a JSON array of ids in upper-case hexadecimal.
    Some,
}

fn sql(except: Except) -> String {
    format!("INSERT INTO temp.claimed (id) {};\n{CLAIM}", due(except))
}

pub(super) async fn claim(tx: &mut Transaction<'_>, claim: &Claim) -> sqlx::Result<Vec<LeasedRow>> {
    let sql = if claim.except.is_empty() { &*OF_ALL } else { &*WITH_EXCEPTIONS };
    let query = sqlx::query_as(AssertSqlSafe(sql.as_str()))
        .bind(claim.now.as_microsecond())
        .bind(claim.limit)
        .bind(claim.holder.0.as_str())
        .bind(claim.until.as_microsecond())
        .bind(claim.into_body)
        .bind(claim.patient_max);
    let query = if claim.except.is_empty() { query } else { query.bind(names(&claim.except)) };
    let leased: Vec<LeasedRow> = query.fetch_all(&mut *tx.connection).await?;
    *tx.news |= !leased.is_empty();
    Ok(leased)
}

/// Ids as the SQL of [`Except::Some`] wants them.
fn names(ids: &[MailJobId]) -> String {
    let names = ids.iter().map(|id| format!("\"{:X}\"", id.as_uuid().as_simple()));
    format!("[{}]", names.collect::<Vec<_>>().join(","))
}

/// Finds jobs class by class, so that only what is due is looked at. Parameters: `?1` now, `?2` the limit,
/// `?6` how many jobs of patient classes there may be.
///
/// A part of a union is only looked into when those before it have not reached the limit. Those of patient
/// classes come last: no class that is patient is more urgent than one that is not.
pub(super) fn due(except: Except) -> String {
    let urgent = first_of(|class| !class.is_patient(), "?2", except);
    let patient = first_of(MailClass::is_patient, "?6", except);
    format!("{urgent} UNION ALL {patient} LIMIT +?2")
}

/// Selects the first jobs of these classes.
fn first_of(classes: impl Fn(MailClass) -> bool, limit: &str, except: Except) -> String {
    let left = match except {
        Except::None => "",
        Except::Some => " AND hex(id) NOT IN (SELECT value FROM json_each(?7))",
    };
    let of_class = |class: MailClass| {
        format!(
            "SELECT * FROM (SELECT id FROM mail_jobs WHERE {} AND class = '{}' AND due_at_us <= ?1 \
             AND expires_at_us > ?1{left} ORDER BY due_at_us, id LIMIT +{limit})",
            waiting!(),
            class.name()
        )
    };
    let classes = MailClass::ALL.into_iter().filter(|class| classes(*class));
    let all: Vec<_> = classes.map(of_class).collect();
    format!("SELECT * FROM ({} LIMIT +{limit})", all.join(" UNION ALL "))
}
