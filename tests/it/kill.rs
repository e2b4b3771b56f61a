//! `kill -9` at any moment: no job is lost, and no mail is sent twice that must not be.

mod load;
mod moment;
mod world;

use std::panic::resume_unwind;

use nuncio_tests::dice::{self, Dice};
use nuncio_tests::environment;
use nuncio_tests::real_servers::RealServers;
use nuncio_tests::report::say;
use tempfile::TempDir;
use tokio::task::JoinSet;

use world::{Kills, World};

/// How many times a node with a store of its own is killed.
const KILLS: u64 = 200;
/// How many times one of two nodes is killed that share their jobs in PostgreSQL.
const KILLS_SHARED: u64 = 30;
/// Asks for another number of kills, for long runs by hand.
const VARIABLE: &str = "NUNCIO_KILLS";
/// How many nodes live and die side by side: most of the time each of them waits for something.
const WORLDS: u64 = 8;
/// How long the jobs of a dead node wait for another one, in seconds.
const LEASE_S: &str = "3";

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_at_any_moment_loses_no_job_and_doubles_none_that_must_not_be() {
    let (kills, seed) = (environment::number(VARIABLE).unwrap_or(KILLS), dice::seed());
    say(&format!("kill loop: NUNCIO_SEED={seed} NUNCIO_KILLS={kills}"));
    let mut dice = Dice::new(seed);
    let mut worlds = JoinSet::new();
    for number in 0..WORLDS {
        let share = kills / WORLDS + u64::from(number < kills % WORLDS);
        let dice = dice.split();
        worlds.spawn(async move { Box::pin(World::new(dice, &[vec![]]).await.live(share)).await });
    }

    let counts = all(worlds).await;

    say(&format!("kill loop: {counts}"));
    assert_eq!(counts.kills(), kills);
    assert!(0 < counts.found.unknown_attempts, "no kill hit a mail on its way: {counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_nodes_that_share_their_jobs_loses_none_and_doubles_none_that_must_not_be() {
    let (kills, seed) = (environment::number(VARIABLE).unwrap_or(KILLS_SHARED), dice::seed());
    say(&format!("kill loop, two nodes: NUNCIO_SEED={seed} NUNCIO_KILLS={kills}"));
    let url = RealServers::from_env().get("POSTGRES_URL").to_owned();
    let store = nuncio_tests::postgres::new_store(&url, "killed").await;
    let keys = TempDir::new().expect("a temporary folder can be made");
    let keys = keys.path().join("shared.key").display().to_string();
    let node = ["--store-url", &store, "--keys-file", &keys, "--delivery-lease-s", LEASE_S];
    let node = node.map(str::to_owned).to_vec();

    let counts =
        Box::pin(World::new(Dice::new(seed), &[node.clone(), node]).await.live(kills)).await;

    say(&format!("kill loop, two nodes: {counts}"));
    assert_eq!(counts.kills(), kills);
    assert!(0 < counts.found.unknown_attempts, "no kill hit a mail on its way: {counts}");
}

async fn all(mut worlds: JoinSet<Kills>) -> Kills {
    let mut counts = Kills::default();
    while let Some(end) = worlds.join_next().await {
        counts += end.unwrap_or_else(|panic| resume_unwind(panic.into_panic()));
    }
    counts
}
