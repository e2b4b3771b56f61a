//! A test from every node that will use the settings.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use nuncio_core::ports::mail::{NodeTesters, TestingNode};
use nuncio_core::settings::SmtpSettings;
use nuncio_core::smtp_test::{NodeTest, StageError, StageKind, StageOutcome, StageResult};
use nuncio_runtime::progress::{Progress, with_progress};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::smtp_test::STAGES_QUEUED;

/// How many nodes test side by side: each of them logs in at the provider.
const NODES_AT_ONCE: usize = 8;
/// How long all nodes together may take. A connection may take five minutes by the settings, and then the server answers;
/// what passed in time is good for as long again.
const TOTAL_DEADLINE: Duration = Duration::from_mins(10);

/// The nodes that are asked, and those that are left out on request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) asked: Vec<TestingNode>,
    pub(crate) left_out: Vec<TestingNode>,
}

/// Parts nodes by whether they are named in `except`, with or without `nodes/`.
pub(crate) fn choose(nodes: Vec<TestingNode>, except: &[String]) -> Choice {
    let names: BTreeSet<&str> =
        except.iter().map(|name| name.strip_prefix("nodes/").unwrap_or(name)).collect();
    let (left_out, asked) = nodes.into_iter().partition(|node| names.contains(node.name.as_str()));
    Choice { asked, left_out }
}

/// Tests settings from all `nodes`; tells each stage as it ends, with the name of its node.
pub(crate) fn test_stream(
    testers: Arc<dyn NodeTesters>,
    nodes: Vec<TestingNode>,
    settings: SmtpSettings,
) -> impl Stream<Item = Progress<(String, StageResult), Vec<(TestingNode, NodeTest)>>> + Send {
    let (tell, stages) = mpsc::channel(STAGES_QUEUED);
    with_progress(stages, async move {
        let until = Instant::now() + TOTAL_DEADLINE;
        let (testers, settings) = (&*testers, &settings);
        let tests: Vec<_> = nodes
            .into_iter()
            .map(|node| {
                let tell = tell.clone();
                async move {
                    let test = test(testers, &node, settings, tell, until).await;
                    (node, test)
                }
            })
            .collect();
        stream::iter(tests).buffered(NODES_AT_ONCE).collect().await
    })
}

/// The test of one node, whose stages are passed on with its name.
async fn test(
    testers: &dyn NodeTesters,
    node: &TestingNode,
    settings: &SmtpSettings,
    tell: mpsc::Sender<(String, StageResult)>,
    until: Instant,
) -> NodeTest {
    let (sender, mut stages) = mpsc::channel::<StageResult>(1);
    let pass_on = async {
        let mut told = Vec::new();
        while let Some(stage) = stages.recv().await {
            told.push(stage.clone());
            // Whoever listened may have gone; the whole is returned as well.
            drop(tell.send((node.name.clone(), stage)).await);
        }
        told
    };
    let tested = timeout_at(until, testers.test(node, settings, sender));
    let (tested, told) = tokio::join!(tested, pass_on);
    match tested {
        Ok(test) => NodeTest { node: node.name.clone(), stages: test.stages },
        Err(_elapsed) => {
            let late = too_late(node);
            drop(tell.send((node.name.clone(), late.clone())).await);
            let stages = told.into_iter().chain([late]).collect();
            NodeTest { node: node.name.clone(), stages }
        }
    }
}

fn too_late(node: &TestingNode) -> StageResult {
    let name = &node.name;
    let error = StageError {
        code: "NODE_TOO_SLOW".to_owned(),
        cause: format!(
            "`{name}` has not ended its test in {} minutes",
            TOTAL_DEADLINE.as_secs() / 60
        ),
        remedy: format!(
            "shorten the connection time-out of the settings, or look what holds `{name}` up with \
             `nuncio doctor --server` and its address"
        ),
        presented_chain: Vec::new(),
    };
    let outcome = StageOutcome::Failed(error);
    StageResult { kind: StageKind::Node, mailbox: None, outcome, elapsed: TOTAL_DEADLINE }
}
