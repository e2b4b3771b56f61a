//! The values of SMTP settings, from options, a file and the environment.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nuncio_api::v1::smtp_settings::Authentication as Wire;
use nuncio_api::v1::{
    NextClientSecret, OauthAuthentication, PasswordAuthentication, Proxy, SmtpEncryption,
    SmtpProvider, SmtpSettings,
};
use serde::Deserialize;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::input::{read_text, read_value};

/// Where the values come from.
#[derive(Args)]
pub struct SmtpArgs {
    /// A TOML file with the same names: `client-id = "…"`; options go before it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Start from the saved settings, and change only what is given
    #[arg(long)]
    from_saved: bool,
    #[command(flatten)]
    given: Given,
}

/// The values themselves. Secrets are named by file only, so that they stand in no list of processes.
#[derive(Args, Clone, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Given {
    /// Whose values fill in what is left out
    #[arg(long, value_enum, help_heading = "Server")]
    provider: Option<Provider>,
    /// The SMTP server's name
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    host: Option<String>,
    /// Its port: 587 for STARTTLS, 465 for TLS
    #[arg(long, help_heading = "Server")]
    port: Option<u16>,
    /// How the connection is encrypted
    #[arg(long, value_enum, help_heading = "Server")]
    encryption: Option<Encryption>,
    /// How long a connection may take until it is ready to send, in seconds
    #[arg(long, value_name = "SECONDS", help_heading = "Server")]
    connect_timeout: Option<u32>,
    /// Certificate authorities in PEM that are trusted beside the system's; may be repeated
    #[arg(long = "ca-file", value_name = "FILE", help_heading = "Server")]
    ca_file: Vec<PathBuf>,

    /// The default sender, and the first mailbox that sends
    #[arg(long, value_name = "ADDRESS", help_heading = "Authentication")]
    email_address: Option<String>,
    /// Mailboxes that share the load with the first one, separated by commas; an empty text means none. Only
    /// with OAuth; each needs the permission to send as the default sender
    #[arg(
        long,
        value_name = "ADDRESSES",
        value_delimiter = ',',
        num_args = 1,
        help_heading = "Authentication"
    )]
    additional_mailboxes: Option<Vec<String>>,
    /// How to authenticate; it follows from the other options where that is clear
    #[arg(long, value_enum, help_heading = "Authentication")]
    authentication: Option<Authentication>,
    /// The user name, if it is not the e-mail address
    #[arg(long, value_name = "NAME", help_heading = "Authentication")]
    username: Option<String>,
    /// A file with the password; `-` is the standard input
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    password_file: Option<PathBuf>,
    /// The application (client) id
    #[arg(long, value_name = "ID", help_heading = "Authentication")]
    client_id: Option<String>,
    /// The directory (tenant) id
    #[arg(long, value_name = "ID", help_heading = "Authentication")]
    tenant_id: Option<String>,
    /// A file with the client secret's value; `-` is the standard input. Without it the environment
    /// variable `NUNCIO_CLIENT_SECRET` counts, then the saved secret
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    client_secret_file: Option<PathBuf>,
    /// The last day of the client secret: `2027-03-15`
    #[arg(long, value_name = "DATE", help_heading = "Authentication")]
    client_secret_expire_date: Option<String>,
    /// A file with the value of a second client secret, which is used where the first one is refused; `-` is the
    /// standard input
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    next_client_secret_file: Option<PathBuf>,
    /// The last day of the second client secret
    #[arg(long, value_name = "DATE", help_heading = "Authentication")]
    next_client_secret_expire_date: Option<String>,
    /// Lets the saved second client secret take the place of the first one
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Authentication")]
    promote_next_client_secret: Option<bool>,
    /// Removes the saved second client secret
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", conflicts_with_all = ["next_client_secret_file", "promote_next_client_secret"], help_heading = "Authentication")]
    remove_next_client_secret: Option<bool>,
    /// Whether the client secret goes by HTTP Basic in place of a form field
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = "Authentication")]
    client_secret_basic: Option<bool>,
    /// A certificate in PEM, in place of a client secret
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    certificate_file: Option<PathBuf>,
    /// Its private key in PEM (PKCS #8)
    #[arg(long, value_name = "FILE", help_heading = "Authentication")]
    private_key_file: Option<PathBuf>,
    /// The token endpoint's URL, if it is not the provider's
    #[arg(long, value_name = "URL", help_heading = "Authentication")]
    token_endpoint: Option<String>,
    /// The scope, if it is not the provider's
    #[arg(long, help_heading = "Authentication")]
    scope: Option<String>,

    /// A proxy for both servers: `http://host:3128` (by CONNECT) or `socks5://host:1080`; an empty text means none
    #[arg(long, value_name = "URL", help_heading = "Proxy")]
    proxy: Option<String>,
    /// The user name that the proxy wants
    #[arg(long, value_name = "NAME", help_heading = "Proxy")]
    proxy_username: Option<String>,
    /// A file with the proxy's password; `-` is the standard input
    #[arg(long, value_name = "FILE", help_heading = "Proxy")]
    proxy_password_file: Option<PathBuf>,
    /// Servers that are reached past the proxy, separated by commas: `mail.example.com`, `.example.com`,
    /// `10.0.0.0/8`; an empty text means none
    #[arg(
        long,
        value_name = "SERVERS",
        value_delimiter = ',',
        num_args = 1,
        help_heading = "Proxy"
    )]
    proxy_bypass: Option<Vec<String>>,

    /// Connections of each mailbox at once; 0 means the provider's limit
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_connections: Option<u16>,
    /// Messages of each mailbox in a minute; 0 means the provider's limit
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_messages_per_minute: Option<u32>,
    /// Recipients of each mailbox in 24 hours; 0 means the provider's limit
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_recipients_per_day: Option<u32>,
    /// Only if the saved settings still have this etag
    #[arg(long, help_heading = "Limits")]
    etag: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Provider {
    Generic,
    ExchangeOnline,
}

#[derive(Clone, Copy, Deserialize, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Encryption {
    None,
    Starttls,
    Tls,
}

#[derive(Clone, Copy, Deserialize, PartialEq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Authentication {
    None,
    Password,
    Oauth,
}

/// The values of all sources, put together.
pub(super) struct Values {
    given: Given,
    from_saved: bool,
    client_secret: Option<String>,
}

impl Values {
    /// Reads the file, if there is one; options go before it.
    pub(super) async fn read(args: SmtpArgs, environment: &Environment) -> Result<Self, Failure> {
        let SmtpArgs { file, from_saved, given } = args;
        let given = match file {
            Some(path) => given.or(parse_file(&path, &read_text(&path).await?)?),
            None => given,
        };
        Ok(Self { given, from_saved, client_secret: environment.client_secret.clone() })
    }

    /// Whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        !self.from_saved && self.given == Given::default()
    }

    pub(super) fn start_from_saved(&self) -> bool {
        self.from_saved
    }

    /// Puts the values on top of `settings`, and reads the files that they name.
    pub(super) async fn apply(self, mut settings: SmtpSettings) -> Result<SmtpSettings, Failure> {
        let given = &self.given;
        match given.provider {
            Some(Provider::Generic) => settings.set_provider(SmtpProvider::Generic),
            Some(Provider::ExchangeOnline) => settings.set_provider(SmtpProvider::ExchangeOnline),
            None => {}
        }
        match given.encryption {
            Some(Encryption::None) => settings.set_encryption(SmtpEncryption::None),
            Some(Encryption::Starttls) => settings.set_encryption(SmtpEncryption::Starttls),
            Some(Encryption::Tls) => settings.set_encryption(SmtpEncryption::Tls),
            None => {}
        }
        replace(&mut settings.host, given.host.as_ref());
        replace(&mut settings.email_address, given.email_address.as_ref());
        replace(&mut settings.etag, given.etag.as_ref());
        if let Some(mailboxes) = &given.additional_mailboxes {
            settings.additional_mailboxes = list(mailboxes);
        }
        if let Some(port) = given.port {
            settings.port = port.into();
        }
        if let Some(seconds) = given.connect_timeout {
            let connect_timeout = prost_types::Duration { seconds: seconds.into(), nanos: 0 };
            settings.connect_timeout = Some(connect_timeout);
        }
        if !given.ca_file.is_empty() {
            settings.ca_certificates_pem = read_all(&given.ca_file).await?;
        }
        let mut limits = settings.limits.unwrap_or_default();
        if let Some(limit) = given.max_connections {
            limits.max_connections = limit.into();
        }
        if let Some(limit) = given.max_messages_per_minute {
            limits.max_messages_per_minute = i32::try_from(limit).unwrap_or(i32::MAX);
        }
        if let Some(limit) = given.max_recipients_per_day {
            limits.max_recipients_per_day = i32::try_from(limit).unwrap_or(i32::MAX);
        }
        settings.limits = Some(limits);
        settings.proxy = self.proxy(settings.proxy.take()).await?;
        settings.authentication = self.authentication(settings.authentication.take()).await?;
        Ok(settings)
    }

    async fn authentication(&self, base: Option<Wire>) -> Result<Option<Wire>, Failure> {
        match self.given.kind_of_authentication() {
            Some(Authentication::None) => Ok(None),
            Some(Authentication::Password) => {
                let base = match base {
                    Some(Wire::Password(password)) => password,
                    Some(Wire::Oauth(_)) | None => PasswordAuthentication::default(),
                };
                Ok(Some(Wire::Password(self.password(base).await?)))
            }
            Some(Authentication::Oauth) => {
                let base = match base {
                    Some(Wire::Oauth(oauth)) => oauth,
                    Some(Wire::Password(_)) | None => OauthAuthentication::default(),
                };
                Ok(Some(Wire::Oauth(self.oauth(base).await?)))
            }
            None => match base {
                Some(Wire::Oauth(base)) => Ok(Some(Wire::Oauth(self.oauth(base).await?))),
                Some(Wire::Password(_)) | None => Ok(base),
            },
        }
    }

    async fn proxy(&self, base: Option<Proxy>) -> Result<Option<Proxy>, Failure> {
        let given = &self.given;
        let is_given = given.proxy.is_some()
            || given.proxy_username.is_some()
            || given.proxy_password_file.is_some()
            || given.proxy_bypass.is_some();
        if !is_given || given.proxy.as_deref() == Some("") {
            return Ok(base.filter(|_| !is_given));
        }
        let mut proxy = base.unwrap_or_default();
        replace(&mut proxy.url, given.proxy.as_ref());
        replace(&mut proxy.username, given.proxy_username.as_ref());
        if let Some(path) = &given.proxy_password_file {
            proxy.password = read_value(path).await?;
        }
        if let Some(bypass) = &given.proxy_bypass {
            proxy.bypass = list(bypass);
        }
        Ok(Some(proxy))
    }

    async fn password(
        &self,
        mut password: PasswordAuthentication,
    ) -> Result<PasswordAuthentication, Failure> {
        replace(&mut password.username, self.given.username.as_ref());
        if let Some(path) = &self.given.password_file {
            password.password = read_value(path).await?;
        }
        Ok(password)
    }

    async fn next_secret(
        &self,
        base: Option<NextClientSecret>,
    ) -> Result<Option<NextClientSecret>, Failure> {
        let given = &self.given;
        if given.remove_next_client_secret == Some(true) {
            return Ok(None);
        }
        if !given.names_next_secret() {
            return Ok(base);
        }
        let mut next = base.unwrap_or_default();
        replace(&mut next.expire_date, given.next_client_secret_expire_date.as_ref());
        if let Some(path) = &given.next_client_secret_file {
            next.value = read_value(path).await?;
        }
        Ok(Some(next))
    }

    async fn oauth(&self, mut oauth: OauthAuthentication) -> Result<OauthAuthentication, Failure> {
        let given = &self.given;
        if given.tenant_id.as_ref().is_some_and(|tenant| *tenant != oauth.tenant_id) {
            // The saved one is that of the other tenant.
            oauth.token_endpoint.clear();
        }
        replace(&mut oauth.client_id, given.client_id.as_ref());
        replace(&mut oauth.tenant_id, given.tenant_id.as_ref());
        replace(&mut oauth.token_endpoint, given.token_endpoint.as_ref());
        replace(&mut oauth.scope, given.scope.as_ref());
        replace(&mut oauth.client_secret_expire_date, given.client_secret_expire_date.as_ref());
        if let Some(basic) = given.client_secret_basic {
            oauth.client_secret_basic = basic;
        }
        if let Some(path) = &given.certificate_file {
            oauth.certificate_pem = read_text(path).await?;
        }
        if let Some(path) = &given.private_key_file {
            oauth.private_key_pem = read_text(path).await?;
        }
        if let Some(path) = &given.client_secret_file {
            oauth.client_secret = read_value(path).await?;
            if given.certificate_file.is_none() {
                oauth.certificate_pem.clear();
            }
        } else if let Some(secret) = &self.client_secret
            && oauth.certificate_pem.is_empty()
            && given.promote_next_client_secret != Some(true)
        {
            oauth.client_secret.clone_from(secret);
        }
        oauth.next_client_secret = self.next_secret(oauth.next_client_secret.take()).await?;
        oauth.promote_next_client_secret = given.promote_next_client_secret == Some(true);
        Ok(oauth)
    }
}

impl Given {
    fn names_next_secret(&self) -> bool {
        self.next_client_secret_file.is_some() || self.next_client_secret_expire_date.is_some()
    }

    /// These values, and where there is none that of `other`.
    fn or(self, other: Self) -> Self {
        /// Names each field once.
        macro_rules! fields {
            ($($field:ident),+ $(,)?) => {
                Self {
                    ca_file: if self.ca_file.is_empty() { other.ca_file } else { self.ca_file },
                    $($field: self.$field.or(other.$field),)+
                }
            };
        }
        fields!(
            provider,
            host,
            port,
            encryption,
            connect_timeout,
            email_address,
            additional_mailboxes,
            authentication,
            username,
            password_file,
            client_id,
            tenant_id,
            client_secret_file,
            client_secret_expire_date,
            client_secret_basic,
            next_client_secret_file,
            next_client_secret_expire_date,
            promote_next_client_secret,
            remove_next_client_secret,
            certificate_file,
            private_key_file,
            token_endpoint,
            scope,
            proxy,
            proxy_username,
            proxy_password_file,
            proxy_bypass,
            max_connections,
            max_messages_per_minute,
            max_recipients_per_day,
            etag,
        )
    }

    /// What was said, or else what the other values can only mean.
    fn kind_of_authentication(&self) -> Option<Authentication> {
        let oauth = self.client_id.is_some()
            || self.tenant_id.is_some()
            || self.client_secret_file.is_some()
            || self.names_next_secret()
            || self.certificate_file.is_some()
            || self.token_endpoint.is_some();
        let password = self.username.is_some() || self.password_file.is_some();
        self.authentication
            .or(oauth.then_some(Authentication::Oauth))
            .or(password.then_some(Authentication::Password))
    }
}

/// Reads the file of values. Files that it names are looked for beside it.
fn parse_file(path: &Path, text: &str) -> Result<Given, Failure> {
    let wrong = |error: toml::de::Error| {
        let problem = format!("file `{}`: {}", path.display(), error.message());
        let remedy =
            "use the names of the options, such as `client-id`; secrets are named by file only";
        Failure::input(problem, remedy)
    };
    let table: toml::Table = text.parse().map_err(wrong)?;
    let one_spelling = table.into_iter().map(|(key, value)| (key.replace('_', "-"), value));
    let mut given: Given = one_spelling.collect::<toml::Table>().try_into().map_err(wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let files = [
        &mut given.password_file,
        &mut given.client_secret_file,
        &mut given.next_client_secret_file,
        &mut given.certificate_file,
        &mut given.private_key_file,
        &mut given.proxy_password_file,
    ];
    for file in files.into_iter().flatten().chain(&mut given.ca_file) {
        if file.as_path() != Path::new("-") {
            *file = folder.join(&*file);
        }
    }
    Ok(given)
}

async fn read_all(paths: &[PathBuf]) -> Result<String, Failure> {
    let mut all = String::new();
    for path in paths {
        all.push_str(&read_text(path).await?);
        all.push('\n');
    }
    Ok(all)
}

/// The parts of a list; an empty text is no part.
fn list(parts: &[String]) -> Vec<String> {
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn replace(field: &mut String, value: Option<&String>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

#[cfg(test)]
mod tests;
