use std::fs;

use tempfile::TempDir;

use super::*;
use crate::grpc::testing::{At, Authority, NOW, write};

async fn open(files: &GrpcTls) -> Result<Certificates, CertificateError> {
    Certificates::open(files.clone(), Arc::new(At(NOW))).await
}

fn end(tls: &watch::Receiver<Arc<Tls>>) -> String {
    tls.borrow().not_after.to_string()
}

#[tokio::test]
async fn a_new_certificate_serves_from_the_next_look_on() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let files = write(folder.path(), &authority.issue(2028), &authority.pem());
    let mut certificates = open(&files).await.unwrap();
    let mut current = certificates.current();
    assert_eq!(end(&current), "2028-01-01T00:00:00Z");

    certificates.look().await;
    assert!(!current.has_changed().unwrap(), "the files are as they were");

    write(folder.path(), &authority.issue(2029), &authority.pem());
    certificates.look().await;
    assert!(current.has_changed().unwrap());
    current.mark_unchanged();
    assert_eq!(end(&current), "2029-01-01T00:00:00Z");
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_old_certificate_until_it_can() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let files = write(folder.path(), &authority.issue(2028), &authority.pem());
    let mut certificates = open(&files).await.unwrap();
    let current = certificates.current();
    let (newer, expired) = (authority.issue(2029), authority.issue(2026));

    // The certificate is there before its key, a file is gone, a certificate has ended.
    fs::write(&files.cert, &newer.0).unwrap();
    certificates.look().await;
    assert_eq!(end(&current), "2028-01-01T00:00:00Z");
    fs::remove_file(&files.key).unwrap();
    certificates.look().await;
    assert_eq!(end(&current), "2028-01-01T00:00:00Z");
    write(folder.path(), &expired, &authority.pem());
    certificates.look().await;
    assert_eq!(end(&current), "2028-01-01T00:00:00Z");

    write(folder.path(), &newer, &authority.pem());
    certificates.look().await;
    assert_eq!(end(&current), "2029-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_bad_file_is_told_by_its_setting() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let good = authority.issue(2028);
    let files = write(folder.path(), &good, &authority.pem());
    let check = async |files: &GrpcTls, expected: &str| {
        let error = open(files).await.err().expect("it is bad");
        let told = Chain(&error).to_string();
        assert!(told.contains(expected), "{told}");
    };

    let missing = GrpcTls { cert: folder.path().join("none.pem"), ..files.clone() };
    check(&missing, "none.pem` (`grpc.tls.cert_file`) cannot be read; check path and rights").await;
    let swapped = GrpcTls { cert: files.key.clone(), ..files.clone() };
    check(&swapped, "the certificate file holds no certificate in PEM").await;
    let no_authority = GrpcTls { client_ca: Some(files.key.clone()), ..files.clone() };
    check(&no_authority, "(`grpc.tls.client_ca_file`): the text holds a private key").await;
    fs::write(&files.key, authority.issue(2028).1).unwrap();
    check(&files, "the private key does not belong to the certificate").await;
    write(folder.path(), &authority.issue(2026), &authority.pem());
    check(&files, "expired at 2026-01-01T00:00:00Z; renew it").await;
    write(folder.path(), &good, "");
    check(&files, "(`grpc.tls.client_ca_file`): no PEM certificate in the text").await;
}
