//! Keys and certificates, made by openssl: a CA, a good server and several bad ones, clients of etcd, the OAuth client
//! and the token key.

use std::fs;
use std::path::Path;

use crate::command::{command, read};
use crate::failure::{Context, Result};

const CA_CONFIG: &str = "\
[ca]
default_ca = tests
[tests]
database = index
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
";

const GOOD_NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";
const OTHER_NAMES: &str = "subjectAltName=DNS:mail.other.test";
const CLIENT: &str = "extendedKeyUsage=clientAuth";
const NO_CA: &str = "basicConstraints=critical,CA:FALSE";

/// Validity as openssl writes it, `YYYYMMDDHHMMSSZ`.
struct Validity {
    from: &'static str,
    until: &'static str,
}

const VALID: Validity = Validity { from: "20250101000000Z", until: "20991231000000Z" };
const EXPIRED: Validity = Validity { from: "20240101000000Z", until: "20240201000000Z" };

/// Writes `ca.pem` and, each with its key in front, `valid.pem`, `expired.pem`, `wrong-name.pem`, `self-signed.pem`.
pub(super) fn servers(folder: &Path) -> Result<()> {
    write(folder, "ca.conf", CA_CONFIG)?;
    write(folder, "index", "")?;
    self_signed(
        folder,
        "ca",
        "/CN=nuncio tests CA",
        &["basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign"],
    )?;
    issue(folder, "valid", "localhost", GOOD_NAMES, &VALID)?;
    issue(folder, "expired", "localhost", GOOD_NAMES, &EXPIRED)?;
    issue(folder, "wrong-name", "localhost", OTHER_NAMES, &VALID)?;
    self_signed(folder, "self-signed", "/CN=localhost", &[NO_CA, GOOD_NAMES])?;
    let both = format!("{}{}", text(folder, "self-signed.key")?, text(folder, "self-signed.pem")?);
    write(folder, "self-signed.pem", &both)
}

/// Writes `etcd-USER.crt` and `etcd-USER.key` for each user of etcd. The CA is that of [`servers`].
pub(super) fn etcd_clients(folder: &Path, users: &[&str]) -> Result<()> {
    users.iter().try_for_each(|user| issue(folder, &format!("etcd-{user}"), user, CLIENT, &VALID))
}

/// Writes `key.pem` and `cert.pem` of an OAuth client that signs its assertions.
pub(super) fn oauth_client(folder: &Path) -> Result<()> {
    let words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=svc-pkjwt",
    ];
    read(command(folder, &words).args(["-keyout", "key.pem", "-out", "cert.pem"])).map(drop)
}

/// Writes the key that signs the tokens, and the public half where Dovecot looks for the key of a token: in
/// `CLIENT/ALGORITHM/KEY`, with `default` for tokens that do not name their client.
pub(super) fn token_key(private: &Path, dovecot_keys: &Path) -> Result<()> {
    let folder = private.parent().expect("the key is a file in a folder");
    let words =
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    read(command(folder, &words).arg(private))?;
    let by_algorithm = dovecot_keys.join("default/RS256");
    fs::create_dir_all(&by_algorithm)
        .context(format_args!("cannot create {}", by_algorithm.display()))?;
    let public = by_algorithm.join("signing1");
    read(
        command(folder, &["openssl", "pkey", "-pubout", "-in"])
            .arg(private)
            .arg("-out")
            .arg(public),
    )
    .map(drop)
}

fn issue(
    folder: &Path,
    name: &str,
    common_name: &str,
    extension: &str,
    validity: &Validity,
) -> Result<()> {
    let file = |ending: &str| format!("{name}.{ending}");
    write(folder, &file("ext"), &format!("{NO_CA}\n{extension}\n"))?;
    let request = [
        "openssl",
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let files = ["-keyout", &file("key"), "-out", &file("csr")];
    read(command(folder, &request).args(files).args(["-subj", &format!("/CN={common_name}")]))?;
    let sign = [
        "openssl", "ca", "-batch", "-notext", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile",
        "ca.key",
    ];
    read(
        command(folder, &sign)
            .args(["-outdir", ".", "-startdate", validity.from, "-enddate", validity.until])
            .args(["-extfile", &file("ext"), "-in", &file("csr"), "-out", &file("crt")]),
    )?;
    write(
        folder,
        &file("pem"),
        &format!("{}{}", text(folder, &file("key"))?, text(folder, &file("crt"))?),
    )
}

fn self_signed(folder: &Path, name: &str, subject: &str, extensions: &[&str]) -> Result<()> {
    let words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let mut request = command(folder, &words);
    // Without the system's configuration, which would add extensions of its own.
    request.args(["-config", "/dev/null", "-days", "30", "-subj", subject]);
    request.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]);
    for extension in extensions {
        request.args(["-addext", extension]);
    }
    read(&mut request).map(drop)
}

fn text(folder: &Path, name: &str) -> Result<String> {
    fs::read_to_string(folder.join(name)).context(format_args!("cannot read {name}"))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(folder.join(name), text).context(format_args!("cannot write {name}"))
}
