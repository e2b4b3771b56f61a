//! Where a node lives again and again, however often it is killed.

use std::time::Duration;

use nuncio_tests::caller::Caller;
use nuncio_tests::process::{Process, ServeProcess};
use tempfile::TempDir;
use tokio::time::sleep;

/// A data folder, and the node that runs on it at the moment.
pub(crate) struct Place {
    folder: TempDir,
    args: Vec<String>,
    node: Option<ServeProcess>,
}

impl Place {
    /// An empty folder for nodes with these arguments.
    pub(crate) fn new(args: &[String]) -> Self {
        let folder = TempDir::with_prefix("nuncio-it-").expect("a folder can be made");
        Self { folder, args: args.to_vec(), node: None }
    }

    /// Starts a node, if it is down.
    pub(crate) async fn start(&mut self) -> &ServeProcess {
        let node = match self.node.take() {
            Some(node) => node,
            None => ServeProcess::start(self.folder.path(), &self.args()).await,
        };
        self.node.insert(node)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.node.is_none()
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::clone(self.node.as_ref().expect("it was started"))
    }

    /// Gives its node away, to be killed.
    pub(crate) fn take_process(&mut self) -> Process {
        self.node.take().expect("it was started").process
    }

    pub(crate) async fn kill_while_starting(&self, after: Duration) {
        let process = Process::serve(self.folder.path(), &self.args());
        sleep(after).await;
        let ended = process.kill9().await;
        assert_eq!(ended.signal, Some(9), "{after:?} after its start: {ended:?}");
    }

    /// Stops its node, which must be a good end.
    pub(crate) async fn stop(self) {
        let ended = self.node.expect("it was started").stop().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    fn args(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }
}
