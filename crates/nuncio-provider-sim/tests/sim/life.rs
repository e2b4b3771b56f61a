//! Starting, stopping, and certificates.

use nuncio_provider_sim::config::*;
use nuncio_provider_sim::pki::CertificateKind;
use nuncio_provider_sim::simulator::{SimError, Simulator};
use tokio::net::TcpStream;

use crate::client::*;

/// Whether a client that trusts the authority accepts the certificate of the submission server.
async fn is_trusted(kind: CertificateKind) -> bool {
    let sim = simulator(|config| config.tls.smtp = kind).await;
    let tcp = TcpStream::connect(sim.implicit_tls_addr()).await.unwrap();
    handshake(&sim, tcp).await.is_ok()
}

#[tokio::test]
async fn good_certificates_are_trusted() {
    assert!(is_trusted(CertificateKind::Good).await);
    assert!(is_trusted(CertificateKind::Intermediate).await);
}

#[tokio::test]
async fn bad_certificates_are_not_trusted() {
    for kind in [
        CertificateKind::Expired,
        CertificateKind::WrongName,
        CertificateKind::SelfSigned,
        CertificateKind::MissingIntermediate,
    ] {
        assert!(!is_trusted(kind).await, "{kind:?}");
    }
}

#[tokio::test]
async fn each_server_has_its_own_certificate() {
    let sim = simulator(|config| config.tls.token = CertificateKind::Expired).await;
    let tcp = TcpStream::connect(sim.token_addr()).await.unwrap();
    assert!(handshake(&sim, tcp).await.is_err());
    Smtp::hello(&sim).await;
}

#[tokio::test]
async fn the_authority_can_be_written_to_a_folder() {
    let sim = exchange().await;
    let folder = tempfile::tempdir().unwrap();
    let path = sim.write_pki(folder.path()).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), sim.ca_pem());
}

#[tokio::test]
async fn two_simulators_know_nothing_of_each_other() {
    let (one, other) = (exchange().await, exchange().await);
    let mut smtp = Smtp::ready(&one).await;
    smtp.mail("1", &["a@b.example"]).await;
    assert_eq!((one.accepted_count(), other.accepted_count()), (1, 0));

    let mut smtp = Smtp::hello(&other).await;
    let foreign = xoauth2(DEFAULT_MAILBOX, &token(&one).await);
    assert_code(&smtp.command(&format!("AUTH XOAUTH2 {foreign}")).await, "535");
}

#[tokio::test]
async fn shutdown_ends_connections_and_frees_the_ports() {
    let sim = exchange().await;
    let (pki, address) = (sim.pki().clone(), sim.starttls_addr());
    let mut smtp = Smtp::hello(&sim).await;

    sim.shutdown().await;

    assert!(smtp.is_cut().await);
    assert!(TcpStream::connect(address).await.is_err());
    let mut config = SimConfig::exchange();
    config.listen.starttls = address;
    let again = Simulator::start_with(config, pki).await.unwrap();
    assert_eq!(again.starttls_addr(), address);
    Smtp::ready(&again).await;
}

#[tokio::test]
async fn a_dropped_simulator_is_gone() {
    let sim = exchange().await;
    let mut smtp = Smtp::hello(&sim).await;
    drop(sim);
    assert!(smtp.is_cut().await);
}

#[tokio::test]
async fn an_admin_endpoint_in_the_open_is_refused() {
    let mut config = SimConfig::exchange();
    config.listen.admin = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(Simulator::start(config).await, Err(SimError::AdminNotLoopback { .. })));
}

#[tokio::test]
async fn a_certificate_that_is_none_is_named() {
    let mut config = SimConfig::exchange();
    config.clients[0].certificates.push("garbage".to_owned());
    let error = Simulator::start(config).await.unwrap_err();
    assert!(error.to_string().contains(DEFAULT_CLIENT_ID), "{error}");
}
