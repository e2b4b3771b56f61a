//! Callers that go on handing in jobs, over the deaths of their nodes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mail_parser::MessageParser;
use nuncio_api::v1;
use nuncio_api::v1::MailClass;
use nuncio_provider_sim::config::RecipientRule;
use nuncio_provider_sim::ledger::AcceptedMail;
use nuncio_tests::caller::Caller;
use nuncio_tests::mails::{mailbox, raw};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many jobs are handed in between two kills.
pub(super) const JOBS_A_ROUND: u64 = 16;
/// How many callers hand jobs in at the same time, at each node.
const CALLERS: usize = 3;
/// Every so manieth request is made once more although it was answered.
const REPEATED: u64 = 5;
/// The subject of each mail, before its number.
const SUBJECT: &str = "mail ";
/// Recipients whom the provider does not know.
const GONE: &str = "gone@";
/// Recipients whom the provider takes at the second attempt.
const BUSY: &str = "@busy.example";
/// The file of a mail: more than a connection takes at once.
const FILE_BYTES: usize = 48 * 1024;

/// What is handed in, and what was said to it.
#[derive(Debug, Default)]
pub(super) struct Load {
    requests: Mutex<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    made: u64,
    /// Those without an answer: their caller makes them again.
    open: Vec<u64>,
    /// The names of the jobs that were taken, by their requests.
    taken: BTreeMap<u64, String>,
}

/// The callers between two kills.
#[derive(Clone, Debug)]
pub(super) struct Round {
    load: Arc<Load>,
    left: Arc<AtomicU64>,
    stored: watch::Sender<u64>,
}

impl Load {
    pub(super) fn round(self: &Arc<Self>) -> Round {
        Round {
            load: Arc::clone(self),
            left: Arc::new(AtomicU64::new(JOBS_A_ROUND)),
            stored: watch::Sender::new(0),
        }
    }

    /// Hands in what is still without an answer, and returns the names of all jobs.
    pub(super) async fn finish(self: &Arc<Self>, caller: &Caller) -> Vec<String> {
        let open = std::mem::take(&mut self.lock().open);
        for number in open {
            let job = caller.submit(request(number)).await;
            self.taken(number, &job.name);
        }
        self.lock().taken.values().cloned().collect()
    }

    fn next(&self) -> u64 {
        let mut requests = self.lock();
        if let Some(number) = requests.open.pop() {
            return number;
        }
        requests.made += 1;
        requests.made
    }

    /// A job that was taken stays the same job, however often its request is made.
    fn taken(&self, number: u64, name: &str) {
        let mut requests = self.lock();
        let known = requests.taken.entry(number).or_insert_with(|| name.to_owned());
        assert_eq!(*known, name, "the job of request {number} was lost");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Requests> {
        self.requests.lock().expect("no code under this lock panics but for a failed test")
    }
}

impl Round {
    /// Counts the jobs that were taken in this round.
    pub(super) fn stored(&self) -> watch::Receiver<u64> {
        self.stored.subscribe()
    }

    /// Hands jobs in until there were enough, or until the node is gone, which it may be once `dying` is set.
    pub(super) async fn hand_in(&self, caller: &Caller, dying: &Arc<AtomicBool>) {
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(self.clone().call(caller.clone(), Arc::clone(dying)));
        }
        callers.join_all().await;
    }

    async fn call(self, caller: Caller, dying: Arc<AtomicBool>) {
        let less = |left: u64| left.checked_sub(1);
        while self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            let number = self.load.next();
            let mut answer = caller.try_submit(request(number)).await;
            if answer.is_ok() && number.is_multiple_of(REPEATED) {
                answer = caller.try_submit(request(number)).await;
            }
            match answer {
                Ok(job) => self.load.taken(number, &job.name),
                Err(status) => {
                    assert!(dying.load(Ordering::SeqCst), "a living node refuses: {status:?}");
                    self.load.lock().open.push(number);
                    return;
                }
            }
            self.stored.send_modify(|count| *count += 1);
        }
    }
}

/// Every second mail may be sent twice if it must, every third has several recipients, every fourth a file.
fn request(number: u64) -> v1::CreateMailJobRequest {
    let class = if number.is_multiple_of(2) { MailClass::Bulk } else { MailClass::AlarmCritical };
    let mut request = raw(class, &format!("{SUBJECT}{number}"), &["guest@example.com"]);
    let mail = request.mail.as_mut().expect("it has one");
    if number.is_multiple_of(3) {
        mail.cc.push(mailbox(&format!("{GONE}example.com")));
        mail.bcc.push(mailbox(&format!("guest-{number}{BUSY}")));
    }
    mail.attachments.extend(file(number));
    v1::CreateMailJobRequest { request_id: format!("job-{number}"), ..request }
}

/// What goes with the mail of this request.
fn file(number: u64) -> Option<v1::Attachment> {
    let bytes = number.to_be_bytes().into_iter().cycle().take(FILE_BYTES);
    number.is_multiple_of(4).then(|| v1::Attachment {
        file_name: format!("file {number}.bin"),
        content_type: "application/octet-stream".to_owned(),
        content: bytes.collect(),
    })
}

/// How a provider answers that makes something of every kind of recipient.
pub(super) fn recipients() -> Vec<RecipientRule> {
    vec![RecipientRule::refused(GONE), RecipientRule::greylisted(BUSY, 1)]
}

/// Checks that what has arrived is what was given, and returns how many files came with it.
pub(super) fn check_content(arrived: &[Arc<AcceptedMail>]) -> u64 {
    let mut files = 0;
    for mail in arrived {
        let message = MessageParser::default().parse(&mail.data).expect("it is a mail");
        let number = message.subject().and_then(|subject| subject.strip_prefix(SUBJECT));
        let number: u64 = number.and_then(|text| text.parse().ok()).expect("it is one of ours");
        let wanted = file(number).map(|file| file.content);
        let came = message.attachment(0).map(|file| file.contents().to_vec());
        assert!(came == wanted, "mail {number} came with another file than it was given");
        files += u64::from(came.is_some());
    }
    files
}
