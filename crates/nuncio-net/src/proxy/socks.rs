//! SOCKS version 5 (RFC 1928).

use nuncio_core::settings::proxy::ProxyCredentials;
use tokio_socks::Error;
use tokio_socks::tcp::Socks5Stream;

use super::ProxyError;
use crate::network::Io;

/// Asks the proxy for a way to the server, whose name it looks up by itself.
pub(super) async fn ask(
    stream: Box<dyn Io>,
    credentials: Option<&ProxyCredentials>,
    host: &str,
    port: u16,
) -> Result<Box<dyn Io>, ProxyError> {
    let server = (host, port);
    let asked = match credentials {
        None => Socks5Stream::connect_with_socket(stream, server).await,
        Some(ProxyCredentials { username, password }) => {
            let password = password.expose();
            Socks5Stream::connect_with_password_and_socket(stream, server, username, password).await
        }
    };
    match asked {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => Err(fault(error, credentials.is_some())),
    }
}

fn fault(error: Error, has_credentials: bool) -> ProxyError {
    let answer = error.to_string().to_lowercase();
    match error {
        Error::Io(error) => ProxyError::Broken(error),
        Error::NoAcceptableAuthMethods if has_credentials => {
            let answer = "it takes neither a user name with password nor none".to_owned();
            ProxyError::CredentialsRefused { answer }
        }
        Error::NoAcceptableAuthMethods | Error::AuthorizationRequired => {
            ProxyError::CredentialsWanted { answer }
        }
        Error::PasswordAuthFailure(_) => ProxyError::CredentialsRefused { answer },
        Error::ConnectionNotAllowedByRuleset
        | Error::CommandNotSupported
        | Error::AddressTypeNotSupported
        | Error::InvalidTargetAddress(_) => ProxyError::Refused { answer },
        Error::GeneralSocksServerFailure
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired => ProxyError::InVain { answer },
        // It is what the library says to an unknown answer of any kind.
        Error::UnknownAuthMethod => {
            ProxyError::NotAProxy { answer: "an answer that SOCKS5 does not know".to_owned() }
        }
        Error::ParseError(_)
        | Error::ProxyServerUnreachable
        | Error::InvalidResponseVersion
        | Error::UnknownError
        | Error::InvalidReservedByte
        | Error::UnknownAddressType
        | Error::InvalidAuthValues(_)
        | Error::IdentdAuthFailure
        | Error::InvalidUserIdAuthFailure => ProxyError::NotAProxy { answer },
    }
}
