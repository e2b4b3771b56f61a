//! How a command proves who calls, and whom it trusts.

use std::path::Path;

use nuncio_api::client::Credentials;
use nuncio_api::client::tls::{ClientPem, ClientTls};
use nuncio_api::client::token::ApiToken;

use crate::failure::Failure;
use crate::globals::Globals;
use crate::input;

const NEED_BOTH: &str = "give `--cert-file` and `--key-file`, or neither of them";

const NO_TOKEN: &str = "save what `nuncio callers create NAME --token` has printed in that file";

/// Reads the files that the options name.
pub(crate) async fn credentials(globals: &Globals) -> Result<Credentials, Failure> {
    let token = match &globals.token_file {
        None => None,
        Some(path) => {
            let token = ApiToken::new(&input::read_value(path).await?);
            let problem =
                |error| Failure::input(format!("`{}`: {error}", path.display()), NO_TOKEN);
            Some(token.map_err(problem)?)
        }
    };
    Ok(Credentials { tls: tls(globals).await?, token })
}

async fn tls(globals: &Globals) -> Result<Option<ClientTls>, Failure> {
    let names_any = [&globals.server_ca_file, &globals.cert_file, &globals.key_file]
        .into_iter()
        .any(Option::is_some);
    if !names_any {
        return Ok(None);
    }
    if !globals.server.starts_with("https://") {
        let problem = format!("files of TLS are given, and `{}` is without TLS", globals.server);
        return Err(Failure::input(problem, "give `--server https://…`, or leave the files out"));
    }
    let authorities = match &globals.server_ca_file {
        Some(path) => Some(input::read_text(path).await?),
        None => None,
    };
    let identity = match (&globals.cert_file, &globals.key_file) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(pair(certificate, key).await?),
        (Some(_), None) => {
            return Err(Failure::input("a client certificate needs its key", NEED_BOTH));
        }
        (None, Some(_)) => {
            return Err(Failure::input("a client key needs its certificate", NEED_BOTH));
        }
    };
    let identity = identity.as_ref();
    let tls = ClientTls::from_pem(ClientPem {
        authorities: authorities.as_deref(),
        identity: identity.map(|(certificate, key)| (certificate.as_slice(), key.as_slice())),
    });
    Ok(Some(tls.map_err(nuncio_api::client::ConnectError::from)?))
}

async fn pair(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    Ok((input::read(certificate).await?, input::read(key).await?))
}
