//! Work that tells how far it is, as a stream.

use futures::stream::{Stream, unfold};
use tokio::sync::mpsc;

/// What a piece of work tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<P, T> {
    /// It has come so far.
    Step(P),
    /// It has ended.
    Done(T),
}

enum State<P, T, F> {
    Working {
        steps: mpsc::Receiver<P>,
        work: F,
    },
    /// The work has ended; what it told before comes first.
    Ended {
        steps: mpsc::Receiver<P>,
        result: T,
    },
    Over,
}

/// Runs `work` while the stream is polled; yields every step that it sends, then its result.
///
/// No task is spawned: a dropped stream drops the work.
pub fn with_progress<P, T, F>(
    steps: mpsc::Receiver<P>,
    work: F,
) -> impl Stream<Item = Progress<P, T>>
where
    F: Future<Output = T>,
{
    let work = Box::pin(work);
    unfold(State::Working { steps, work }, |mut state| async move {
        loop {
            state = match state {
                State::Working { mut steps, mut work } => tokio::select! {
                    Some(step) = steps.recv() => {
                        return Some((Progress::Step(step), State::Working { steps, work }));
                    }
                    result = &mut work => State::Ended { steps, result },
                },
                State::Ended { mut steps, result } => match steps.try_recv() {
                    Ok(step) => {
                        return Some((Progress::Step(step), State::Ended { steps, result }));
                    }
                    Err(_) => return Some((Progress::Done(result), State::Over)),
                },
                State::Over => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn every_step_comes_before_the_result() {
        let (tell, steps) = mpsc::channel(8);
        let work = async move {
            for step in 1..=3 {
                tell.send(step).await.expect("the stream listens");
            }
            "done"
        };

        let told: Vec<_> = with_progress(steps, work).collect().await;

        let steps = (1..=3).map(Progress::Step);
        assert_eq!(told, steps.chain([Progress::Done("done")]).collect::<Vec<_>>());
    }
}
