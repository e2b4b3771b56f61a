use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::*;

/// More than any answer here may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that says what the test wants.
#[derive(Clone, Default)]
struct FakeNode {
    not_ready: Arc<Mutex<Vec<String>>>,
    hangs: bool,
}

#[async_trait]
impl NodeView for FakeNode {
    async fn gauges(&self) -> Gauges {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Gauges { smtp_connections: Some(2), ..Gauges::default() }
    }

    async fn not_ready(&self) -> Vec<String> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.not_ready.lock().unwrap().clone()
    }
}

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    draining: CancellationToken,
    tasks: JoinSet<io::Result<()>>,
}

impl Running {
    async fn start(node: FakeNode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let server = HttpServer::new(Arc::new(Metrics::new()), node).draining_on(draining.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(listener, stop.clone()));
        Self { address, stop, draining, tasks }
    }

    /// Status line and headers, and the body.
    async fn request(&self, request: &str) -> (String, String) {
        self.request_with(request, &[]).await
    }

    async fn request_with(&self, request: &str, headers: &[&str]) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let more: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
        let text = format!("{request} HTTP/1.1\r\nhost: nuncio\r\nconnection: close\r\n{more}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn check(&self, request: &str, status: &str, body: &str) {
        let (head, shown) = self.request(request).await;

        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert_eq!(shown, body, "{request}");
    }
}

#[tokio::test]
async fn a_node_that_can_work_is_alive_and_ready() {
    let server = Running::start(FakeNode::default()).await;

    server.check("GET /livez", "200", "ok\n").await;
    server.check("GET /readyz", "200", "ok\n").await;
}

#[tokio::test]
async fn a_node_that_cannot_work_is_alive_and_says_why_it_is_not_ready() {
    let node = FakeNode::default();
    let server = Running::start(node.clone()).await;

    *node.not_ready.lock().unwrap() = vec!["the disk is full".to_owned(), "no luck".to_owned()];
    server.check("GET /readyz", "503", "the disk is full\nno luck\n").await;
    server.check("GET /livez", "200", "ok\n").await;

    node.not_ready.lock().unwrap().clear();
    server.check("GET /readyz", "200", "ok\n").await;
}

#[tokio::test]
async fn a_draining_node_is_not_ready_but_still_answers() {
    let server = Running::start(FakeNode::default()).await;

    server.draining.cancel();

    server.check("GET /readyz", "503", "the node is draining\n").await;
    server.check("GET /livez", "200", "ok\n").await;
    assert!(server.request("GET /metrics").await.0.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn metrics_are_given_as_openmetrics_to_whoever_takes_it_and_else_in_the_older_format() {
    let server = Running::start(FakeNode::default()).await;

    let (head, body) = server.request("GET /metrics").await;
    assert!(head.contains(&format!("content-type: {}\r\n", classic::CONTENT_TYPE)), "{head}");
    assert!(body.contains("\nnuncio_smtp_connections 2\n"), "{body}");
    assert!(!body.contains("# EOF"), "{body}");

    let accept = "accept: text/plain;q=0.5, application/openmetrics-text;version=1.0.0";
    let (head, body) = server.request_with("GET /metrics", &[accept]).await;

    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains(&format!("content-type: {CONTENT_TYPE}\r\n")), "{head}");
    assert!(body.contains("\nnuncio_smtp_connections 2\n"), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn a_node_that_hangs_is_not_ready_and_keeps_its_counters() {
    let server = Running::start(FakeNode { hangs: true, ..FakeNode::default() }).await;

    let (readyz, metrics) =
        tokio::join!(server.request("GET /readyz"), server.request("GET /metrics"));

    assert!(readyz.0.starts_with("HTTP/1.1 503 "), "{}", readyz.0);
    assert_eq!(readyz.1, "the node does not answer in time\n");
    assert!(metrics.1.contains("nuncio_mail_jobs_accepted_total{"), "{}", metrics.1);
    assert!(!metrics.1.contains("nuncio_smtp_connections"), "{}", metrics.1);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = Running::start(FakeNode::default()).await;

    server.check("GET /", "404", "there are /livez, /readyz and /metrics\n").await;
    server.check("POST /metrics", "405", "").await;
}

#[tokio::test]
async fn the_server_ends_when_told_even_with_an_open_connection() {
    let mut server = Running::start(FakeNode::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /livez HT").await.unwrap();
    server.check("GET /livez", "200", "ok\n").await;

    server.stop.cancel();

    let ended = timeout(PATIENCE, server.tasks.join_next()).await;
    ended.expect("the server must end").unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
}
