//! The limit of the sink: a client that does nothing but send, in each of the ways that SMTP knows.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::bench::figures::Figures;
use crate::bench::measure::Cpu;
use crate::bench::raw::client::{Client, Dialect};
use crate::bench::report::{each, millis, rate};
use crate::bench::sink::Sink;
use crate::bench::{BenchArgs, Failure};

mod client;

/// How many mails are sent in each way if their number is not given.
const MAILS: u64 = 30_000;

/// A way to send, and the keys and names of its figures: mails a second, CPU of the sink and of the client.
type Row = (Dialect, [(&'static str, &'static str); 3]);

const ROWS: [Row; 3] = [
    (
        Dialect::InStep,
        [
            ("in_step_per_s", "in step"),
            ("in_step_sink_ms", "in step, CPU of the sink"),
            ("in_step_client_ms", "in step, CPU of the client"),
        ],
    ),
    (
        Dialect::Pipelining,
        [
            ("pipelining_per_s", "PIPELINING"),
            ("pipelining_sink_ms", "PIPELINING, CPU of the sink"),
            ("pipelining_client_ms", "PIPELINING, CPU of the client"),
        ],
    ),
    (
        Dialect::Chunking,
        [
            ("chunking_per_s", "CHUNKING"),
            ("chunking_sink_ms", "CHUNKING, CPU of the sink"),
            ("chunking_client_ms", "CHUNKING, CPU of the client"),
        ],
    ),
];

pub(super) async fn measure(args: &BenchArgs) -> Result<Figures, Failure> {
    let sink = Sink::start(args).await?;
    let mails = args.jobs.unwrap_or(MAILS);
    let mut figures = Figures::default();
    for (dialect, [per_s, sink_ms, client_ms]) in ROWS {
        if args.no_chunking && dialect == Dialect::Chunking {
            continue;
        }
        let mut clients = Vec::new();
        for _connection in 0..args.connections {
            clients.push(connect(&sink).await.map_err(Failure::Raw)?);
        }
        let (before, cpu, begun) = (sink.stats(), Cpu::now(&[]), Instant::now());
        send(clients, dialect, args, mails).await?;
        let (time, cpu) = (begun.elapsed(), Cpu::now(&[]).since(&cpu));
        let taken = sink.stats().since(&before).mails;
        let cost = |cpu: Option<_>| each(millis(cpu.unwrap_or_default()), taken);
        figures.put(per_s.0, per_s.1, rate(taken, time), "/s");
        figures.put(sink_ms.0, sink_ms.1, cost(cpu.sink), "ms a mail");
        figures.put(client_ms.0, client_ms.1, cost(cpu.load), "ms a mail");
    }
    Ok(figures)
}

/// Sends over all connections at once, each its share.
async fn send(
    clients: Vec<Client>,
    dialect: Dialect,
    args: &BenchArgs,
    mails: u64,
) -> Result<(), Failure> {
    let share = mails / clients.len() as u64;
    let (size, in_flight) = (args.size, u64::from(args.in_flight));
    let mut senders = JoinSet::new();
    for (place, client) in (0..).zip(clients) {
        let numbers = place * share..(place + 1) * share;
        senders.spawn(client.send(dialect, numbers, size, in_flight));
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("senders do not panic").map_err(Failure::Raw)?;
    }
    Ok(())
}

async fn connect(sink: &Sink) -> std::io::Result<Client> {
    let simulator = sink.simulator();
    let invalid = |error| std::io::Error::other(error);
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes());
    roots.add(authority.map_err(std::io::Error::other)?).map_err(invalid)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(invalid)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let token = simulator.submission_token().expect("the sink has a client and a tenant");
    Client::connect(simulator.starttls_addr(), TlsConnector::from(Arc::new(config)), &token).await
}
