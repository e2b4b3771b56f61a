//! Records.
//!
//! What is looked for with a NUL, which PostgreSQL cannot hold, is not there.

use jiff::Timestamp;
use nuncio_core::ports::records::{DuePlace, Record, RecordKey, RecordKind, RecordQuery};
use sqlx::{Error, PgPool};

use crate::postgres::engine::Transaction;
use crate::rows::{self, PlacedRecordRow, RecordRow, unreadable};
use crate::write::commit::Put;

pub(super) async fn read(
    readers: &PgPool,
    keys: &[RecordKey],
) -> sqlx::Result<Vec<Option<Record>>> {
    // No record has an empty id.
    let id =
        |key: &'_ RecordKey| if key.id.contains('\0') { "" } else { key.id.as_str() }.to_owned();
    let sql = "SELECT k.place - 1 AS place, r.id, r.version, r.owner, r.due_at_us, r.updated_at_us, \
               r.content FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS k (kind, id, place) \
               JOIN records AS r ON r.kind = k.kind AND r.id = k.id";
    let found: Vec<PlacedRecordRow> = sqlx::query_as(sql)
        .bind(keys.iter().map(|key| key.kind.0).collect::<Vec<_>>())
        .bind(keys.iter().map(id).collect::<Vec<_>>())
        .fetch_all(readers)
        .await?;
    rows::records_at(found, keys).map_err(unreadable)
}

pub(super) async fn list(readers: &PgPool, query: &RecordQuery) -> sqlx::Result<Vec<Record>> {
    let RecordQuery { kind, owner, after, limit } = query;
    let sql = match owner.as_deref() {
        Some(owner) if owner.contains('\0') => return Ok(Vec::new()),
        Some(_) => {
            "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
             WHERE kind = $1 AND id > $2 AND owner = $4 ORDER BY id LIMIT $3"
        }
        None => {
            "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
             WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3"
        }
    };
    let after = after.as_deref().map_or("", up_to_nul);
    let mut list = sqlx::query_as(sql).bind(kind.0).bind(after).bind(i64::from(*limit));
    if let Some(owner) = owner {
        list = list.bind(owner);
    }
    rows::records_from(list.fetch_all(readers).await?, *kind).map_err(unreadable)
}

pub(super) async fn due(
    readers: &PgPool,
    kind: RecordKind,
    until: Timestamp,
    after: Option<&DuePlace>,
    limit: u32,
) -> sqlx::Result<Vec<Record>> {
    let sql = "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
               WHERE kind = $1 AND due_at_us <= $2 AND (due_at_us, id) > ($3, $4) \
               ORDER BY due_at_us, id LIMIT $5";
    let found: Vec<RecordRow> = sqlx::query_as(sql)
        .bind(kind.0)
        .bind(until.as_microsecond())
        .bind(after.map_or(i64::MIN, |place| place.due_at.as_microsecond()))
        .bind(after.map_or("", |place| up_to_nul(&place.id)))
        .bind(i64::from(limit))
        .fetch_all(readers)
        .await?;
    rows::records_from(found, kind).map_err(unreadable)
}

/// Whatever is greater than the text, and has no NUL, is greater than this, and the other way round.
fn up_to_nul(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

pub(super) async fn next_due(
    readers: &PgPool,
    kind: RecordKind,
) -> sqlx::Result<Option<Timestamp>> {
    let sql = "SELECT MIN(due_at_us) FROM records WHERE kind = $1 AND due_at_us IS NOT NULL";
    let due_at_us: Option<i64> = sqlx::query_scalar(sql).bind(kind.0).fetch_one(readers).await?;
    due_at_us.map(|us| rows::time_from("due_at_us", us)).transpose().map_err(unreadable)
}

pub(super) async fn count(readers: &PgPool, kind: RecordKind) -> sqlx::Result<u64> {
    let sql = "SELECT COUNT(*) FROM records WHERE kind = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(kind.0).fetch_one(readers).await?;
    Ok(count.unsigned_abs())
}

/// Locks in the order of the keys, so that two nodes do not wait for each other.
pub(super) async fn versions(
    tx: &mut Transaction<'_>,
    keys: &[&RecordKey],
) -> sqlx::Result<Vec<(usize, i64)>> {
    let sql = "SELECT k.place - 1, r.version \
               FROM UNNEST($1::TEXT[], $2::TEXT[]) WITH ORDINALITY AS k (kind, id, place) \
               JOIN records AS r ON r.kind = k.kind AND r.id = k.id \
               ORDER BY r.kind, r.id FOR UPDATE OF r";
    let found: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(keys.iter().map(|key| key.kind.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *tx.connection)
        .await?;
    rows::versions_from(found).map_err(unreadable)
}

pub(super) async fn put(tx: &mut Transaction<'_>, puts: &[Put<'_>]) -> sqlx::Result<()> {
    let (new, known): (Vec<_>, Vec<_>) = puts.iter().partition(|put| put.is_new);
    // Whoever makes the same one at the same time waits here for the other.
    let insert = "INSERT INTO records (kind, id, version, owner, due_at_us, updated_at_us, content) \
                  SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[], \
                  $6::BIGINT[], $7::TEXT[]) ON CONFLICT DO NOTHING";
    write(tx, insert, &new).await?;
    let update = "UPDATE records AS r SET version = p.version, owner = p.owner, \
                  due_at_us = p.due_at_us, updated_at_us = p.updated_at_us, content = p.content \
                  FROM UNNEST($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[], $5::BIGINT[], \
                  $6::BIGINT[], $7::TEXT[]) \
                  AS p (kind, id, version, owner, due_at_us, updated_at_us, content) \
                  WHERE r.kind = p.kind AND r.id = p.id";
    write(tx, update, &known).await
}

/// All of them, or it is a conflict with another node.
async fn write(tx: &mut Transaction<'_>, sql: &'static str, puts: &[&Put<'_>]) -> sqlx::Result<()> {
    if puts.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(sql)
        .bind(puts.iter().map(|put| put.key.kind.0).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.key.id.as_str()).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.version).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.owner).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.due_at_us).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.updated_at_us).collect::<Vec<_>>())
        .bind(puts.iter().map(|put| put.content).collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await?;
    let written = usize::try_from(done.rows_affected());
    if written.is_ok_and(|written| written == puts.len()) {
        Ok(())
    } else {
        Err(Error::RowNotFound)
    }
}

pub(super) async fn remove(tx: &mut Transaction<'_>, keys: &[&RecordKey]) -> sqlx::Result<()> {
    let sql =
        "DELETE FROM records WHERE (kind, id) IN (SELECT * FROM UNNEST($1::TEXT[], $2::TEXT[]))";
    sqlx::query(sql)
        .bind(keys.iter().map(|key| key.kind.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>())
        .execute(&mut *tx.connection)
        .await
        .map(drop)
}
