//! The connection breaks at a commit.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::*;

/// Where the connection of the next commit breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The server never hears of the commit.
    Before,
    /// The server has committed, and its answer is lost.
    After,
}

/// Stands between a store and the server.
#[derive(Clone, Default)]
struct Cutter(Arc<Mutex<Option<Cut>>>);

impl Cutter {
    /// Gives the URL that leads through it.
    async fn start(&self, url: &PostgresUrl) -> PostgresUrl {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = &url.hosts()[0];
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let cutter = self.clone();
        // Ends with the runtime of its test.
        #[expect(clippy::disallowed_methods, reason = "a server of a test")]
        tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                let (cutter, server) = (cutter.clone(), server.clone());
                tokio::spawn(async move { cutter.carry(client, server).await });
            }
        });
        let (user, password) = login();
        let name = options.get_application_name().unwrap().to_owned();
        let database = options.get_database().unwrap().to_owned();
        let session =
            format!("options[search_path]={name}&application_name={name}&sslmode=disable");
        format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}?{session}")
            .parse()
            .unwrap()
    }

    async fn next_commit(&self, cut: Cut) {
        *self.0.lock().await = Some(cut);
    }

    async fn carry(&self, mut client: TcpStream, server: String) {
        let mut server = TcpStream::connect(server).await.unwrap();
        let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
        let mut knows_commit = false;
        loop {
            tokio::select! {
                biased;
                read = client.read(&mut asked) => {
                    let Ok(1..) = read else { return };
                    let message = &asked[..read.unwrap()];
                    let is_commit = knows_commit && message.starts_with(b"B");
                    knows_commit = message.windows(6).any(|word| word == b"COMMIT");
                    let cut = if is_commit { self.0.lock().await.take() } else { None };
                    if cut == Some(Cut::Before) {
                        return;
                    }
                    server.write_all(message).await.unwrap();
                    if cut == Some(Cut::After) {
                        assert_ne!(server.read(&mut answered).await.unwrap(), 0, "an answer");
                        return;
                    }
                }
                read = server.read(&mut answered) => {
                    let Ok(1..) = read else { return };
                    if client.write_all(&answered[..read.unwrap()]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// User and password of the tests' server.
fn login() -> (String, String) {
    let server = server();
    let (_scheme, rest) = server.split_once("://").unwrap();
    let (login, _address) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}

/// The store behind a cutter that cuts the first commit of each of its writers if it is told to.
async fn cut_store() -> (PostgresJobStore, Cutter) {
    let cutter = Cutter::default();
    let url = cutter.start(&database("cut").await).await;
    (opened(&url).await.unwrap(), cutter)
}

#[tokio::test]
async fn a_submit_is_stored_once_wherever_the_connection_of_its_commit_breaks() {
    for cut in [Cut::Before, Cut::After] {
        let (store, cutter) = cut_store().await;
        cutter.next_commit(cut).await;

        let submitted = store.submit(job(1)).await.unwrap();

        assert!(matches!(submitted, Submitted::New(_)), "{submitted:?}");
        assert!(cutter.0.lock().await.is_none(), "the connection was cut");
        assert_eq!(store.changes(ChangeSeq(0), None, 9).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_claim_gives_its_mails_wherever_the_connection_of_its_commit_breaks() {
    for cut in [Cut::Before, Cut::After] {
        let (store, cutter) = cut_store().await;
        store.submit(job(1)).await.unwrap();
        cutter.next_commit(cut).await;

        let claimed = claim(&store, "a", 1).await;

        assert!(cutter.0.lock().await.is_none(), "the connection was cut");
        assert_eq!(claimed.len(), 1, "it is not lost until its lease ends");
        let settlement = sent(&claimed[0].job, "250 ok");
        let lease = claimed.into_iter().next().unwrap().lease;
        assert_eq!(store.settle(lease, settlement).await.unwrap().state, JobState::Sent);
    }
}
