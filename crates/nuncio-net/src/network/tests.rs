use std::collections::HashMap;

use tokio::io::duplex;
use tokio::time::{Instant, sleep};

use super::*;

/// How each address answers: after how long, and whether it takes the connection.
struct Answers(HashMap<SocketAddr, (Duration, bool)>);

#[async_trait]
impl Network for Answers {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        unreachable!("nobody asks")
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Io>> {
        let (after, is_taken) = self.0[&address];
        sleep(after).await;
        if is_taken {
            Ok(Box::new(duplex(1).0))
        } else {
            Err(io::Error::other(address.to_string()))
        }
    }
}

fn address(number: u8) -> SocketAddr {
    ([192, 0, 2, number], 587).into()
}

/// Connects to addresses that answer like this; tells which took it or failed last, and after how long.
async fn connected(answers: &[(Duration, bool)]) -> (Result<SocketAddr, String>, Duration) {
    let numbered = || (1..).map(address).zip(answers.iter().copied());
    let addresses: Vec<_> = numbered().map(|(address, _)| address).collect();
    let network = Answers(numbered().collect());
    let started = Instant::now();
    let connected = connect(&network, &addresses).await;
    (connected.map(|(_, address)| address).map_err(|error| error.to_string()), started.elapsed())
}

const NOW: Duration = Duration::ZERO;
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn the_first_address_that_answers_is_taken() {
    let soon = Duration::from_millis(100);
    assert_eq!(connected(&[(soon, true), (NOW, true)]).await, (Ok(address(1)), soon));
    // A refusal leads to the next at once, silence a moment later, and it may still answer then.
    assert_eq!(connected(&[(NOW, false), (NOW, true)]).await, (Ok(address(2)), NOW));
    let moment = Duration::from_millis(250);
    assert_eq!(connected(&[(NEVER, true), (NOW, true)]).await, (Ok(address(2)), moment));
    let late = Duration::from_millis(300);
    assert_eq!(connected(&[(late, true), (NEVER, true)]).await, (Ok(address(1)), late));
    let silent = [(NEVER, true); 7];
    let all = [&silent[..], &[(NOW, true)]].concat();
    assert_eq!(connected(&all).await, (Ok(address(8)), moment * 7));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_told_when_none_takes_the_connection() {
    let second = Duration::from_secs(1);
    let answers = [(NOW, false), (second, false), (NOW, false)];
    assert_eq!(connected(&answers).await, (Err("192.0.2.2:587".to_owned()), second));
}

#[test]
fn both_families_come_by_turns() {
    let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        by_turns(parse(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"])),
        parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"])
    );
    assert_eq!(by_turns(parse(&["1.1.1.1:1", "[::1]:1"])), parse(&["1.1.1.1:1", "[::1]:1"]));
    assert_eq!(by_turns(Vec::new()), Vec::new());
}
