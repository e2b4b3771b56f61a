//! The PostgreSQL that `cargo xtask test` runs beside the tests: what an operator does to it.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// An empty store that only this test knows, a schema of the database at `url`: what a node is to be given as `store.url`.
pub async fn new_store(url: &str, name: &str) -> String {
    let schema = format!("{name}_{}", std::process::id());
    let mut connection = connect(url).await;
    let sql = AssertSqlSafe(format!("CREATE SCHEMA {schema}"));
    sqlx::query(sql).execute(&mut connection).await.expect("a test may make a schema");
    format!("{url}?options[search_path]={schema}&application_name={schema}")
}

/// Ends all connections that were made with the `application_name` of this URL, as a restart of the server does.
pub async fn kill_connections(url: &str) {
    let (base, parameters) = url.split_once('?').expect("it has parameters");
    let name = parameters.split('&').find_map(|pair| pair.strip_prefix("application_name="));
    let sql = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name = $1 AND pid <> pg_backend_pid()";
    let killed = sqlx::query_scalar(sql).bind(name.expect("it has a name"));
    let killed: i64 = killed.fetch_one(&mut connect(base).await).await.expect("it may kill");
    assert!(0 < killed, "there are connections");
}

/// Does something to the whole server.
pub async fn execute(url: &str, sql: &'static str) {
    sqlx::query(sql).execute(&mut connect(url).await).await.expect("it may do so");
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap_or_else(|error| panic!("no PostgreSQL: {error}"))
}
