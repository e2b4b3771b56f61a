//! Plain HTTP, a request at a time: enough for probes, metrics and small pages.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::caller::PATIENCE;

/// Status and body of the answer of `address`, such as `127.0.0.1:7588`.
pub async fn get(address: &str, path: &str) -> (u16, String) {
    let (status, _headers, body) = ask(address, "GET", path, &[], "").await;
    (status, body)
}

/// The metrics of a node as Prometheus asks for them.
pub async fn open_metrics(address: &str) -> String {
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2";
    let (status, _headers, body) = ask(address, "GET", "/metrics", &[accept], "").await;
    assert_eq!(status, 200, "{body}");
    body
}

/// Status, headers and body of the answer of `address`.
pub async fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> (u16, String, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let more: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: {}\r\n{more}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, exchange).await.expect("it answers in time");
    let answer = answer.unwrap_or_else(|error| panic!("{method} {path} from {address}: {error}"));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = status.unwrap_or_else(|| panic!("this is no HTTP: {answer}"));
    (status, head.to_owned(), body.to_owned())
}
