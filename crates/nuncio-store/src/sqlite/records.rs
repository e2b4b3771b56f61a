//! Records.

use jiff::Timestamp;
use nuncio_core::ports::records::{DuePlace, Record, RecordKey, RecordKind, RecordQuery};
use sqlx::{AssertSqlSafe, SqlitePool};

use crate::rows::{self, PlacedRecordRow, RecordRow, unreadable};
use crate::sqlite::engine::Transaction;
use crate::sqlite::values::{ROWS_MAX, values};
use crate::write::commit::Put;

/// The place of a key and the key.
const KEY_COLUMNS: usize = 3;
const PUT_COLUMNS: usize = 7;

pub(super) async fn read(
    readers: &SqlitePool,
    keys: &[RecordKey],
) -> sqlx::Result<Vec<Option<Record>>> {
    let mut found: Vec<PlacedRecordRow> = Vec::with_capacity(keys.len());
    for (chunk, some) in keys.chunks(ROWS_MAX).enumerate() {
        let sql = format!(
            "SELECT k.column1 AS place, r.id, r.version, r.owner, r.due_at_us, r.updated_at_us, r.content \
             FROM ({}) AS k CROSS JOIN records AS r ON r.kind = k.column2 AND r.id = k.column3",
            values(some.len(), KEY_COLUMNS)
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for (place, key) in (chunk * ROWS_MAX..).zip(some) {
            query = query.bind(rows::place_to(place)).bind(key.kind.0).bind(key.id.as_str());
        }
        found.extend(query.fetch_all(readers).await?);
    }
    rows::records_at(found, keys).map_err(unreadable)
}

pub(super) async fn list(readers: &SqlitePool, query: &RecordQuery) -> sqlx::Result<Vec<Record>> {
    let RecordQuery { kind, owner, after, limit } = query;
    let sql = match owner {
        Some(_) => {
            "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
             WHERE kind = ?1 AND id > ?2 AND owner = ?4 ORDER BY id LIMIT +?3"
        }
        None => {
            "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
             WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT +?3"
        }
    };
    let mut list =
        sqlx::query_as(sql).bind(kind.0).bind(after.as_deref().unwrap_or("")).bind(limit);
    if let Some(owner) = owner {
        list = list.bind(owner);
    }
    rows::records_from(list.fetch_all(readers).await?, *kind).map_err(unreadable)
}

pub(super) async fn due(
    readers: &SqlitePool,
    kind: RecordKind,
    until: Timestamp,
    after: Option<&DuePlace>,
    limit: u32,
) -> sqlx::Result<Vec<Record>> {
    let sql = "SELECT id, version, owner, due_at_us, updated_at_us, content FROM records \
               WHERE kind = ? AND due_at_us <= ? AND (due_at_us, id) > (?, ?) \
               ORDER BY due_at_us, id LIMIT +?";
    let found: Vec<RecordRow> = sqlx::query_as(sql)
        .bind(kind.0)
        .bind(until.as_microsecond())
        .bind(after.map_or(i64::MIN, |place| place.due_at.as_microsecond()))
        .bind(after.map_or("", |place| place.id.as_str()))
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows::records_from(found, kind).map_err(unreadable)
}

pub(super) async fn next_due(
    readers: &SqlitePool,
    kind: RecordKind,
) -> sqlx::Result<Option<Timestamp>> {
    let sql = "SELECT MIN(due_at_us) FROM records WHERE kind = ? AND due_at_us IS NOT NULL";
    let due_at_us: Option<i64> = sqlx::query_scalar(sql).bind(kind.0).fetch_one(readers).await?;
    due_at_us.map(|us| rows::time_from("due_at_us", us)).transpose().map_err(unreadable)
}

pub(super) async fn count(readers: &SqlitePool, kind: RecordKind) -> sqlx::Result<u64> {
    let sql = "SELECT COUNT(*) FROM records WHERE kind = ?";
    let count: i64 = sqlx::query_scalar(sql).bind(kind.0).fetch_one(readers).await?;
    Ok(count.unsigned_abs())
}

/// Nobody else writes meanwhile.
pub(super) async fn versions(
    tx: &mut Transaction<'_>,
    keys: &[&RecordKey],
) -> sqlx::Result<Vec<(usize, i64)>> {
    let mut found: Vec<(i64, i64)> = Vec::with_capacity(keys.len());
    for (chunk, some) in keys.chunks(ROWS_MAX).enumerate() {
        let sql = format!(
            "SELECT k.column1, r.version FROM ({}) AS k \
             CROSS JOIN records AS r ON r.kind = k.column2 AND r.id = k.column3",
            values(some.len(), KEY_COLUMNS)
        );
        let mut query = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(sql));
        for (place, key) in (chunk * ROWS_MAX..).zip(some) {
            query = query.bind(rows::place_to(place)).bind(key.kind.0).bind(key.id.as_str());
        }
        found.extend(query.fetch_all(&mut *tx.connection).await?);
    }
    rows::versions_from(found).map_err(unreadable)
}

pub(super) async fn put(tx: &mut Transaction<'_>, puts: &[Put<'_>]) -> sqlx::Result<()> {
    for some in puts.chunks(ROWS_MAX) {
        let sql = format!(
            "INSERT INTO records (kind, id, version, owner, due_at_us, updated_at_us, content) \
             SELECT * FROM ({}) WHERE column1 IS NOT NULL ON CONFLICT (kind, id) DO UPDATE \
             SET version = excluded.version, owner = excluded.owner, due_at_us = excluded.due_at_us, \
             updated_at_us = excluded.updated_at_us, content = excluded.content",
            values(some.len(), PUT_COLUMNS)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for put in some {
            query = query
                .bind(put.key.kind.0)
                .bind(put.key.id.as_str())
                .bind(put.version)
                .bind(put.owner)
                .bind(put.due_at_us)
                .bind(put.updated_at_us)
                .bind(put.content);
        }
        query.execute(&mut *tx.connection).await?;
    }
    Ok(())
}

pub(super) async fn remove(tx: &mut Transaction<'_>, keys: &[&RecordKey]) -> sqlx::Result<()> {
    for some in keys.chunks(ROWS_MAX) {
        let sql = format!(
            "DELETE FROM records WHERE rowid IN (SELECT r.rowid FROM ({}) AS k \
             CROSS JOIN records AS r ON r.kind = k.column1 AND r.id = k.column2)",
            values(some.len(), 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for key in some {
            query = query.bind(key.kind.0).bind(key.id.as_str());
        }
        query.execute(&mut *tx.connection).await?;
    }
    Ok(())
}
