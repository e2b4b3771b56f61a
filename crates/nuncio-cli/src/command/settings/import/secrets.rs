//! The secrets of an import: named by file, so that they stand in no list of processes.

use std::path::PathBuf;

use clap::Args;
use nuncio_api::v1::alarm_route::Target;
use nuncio_api::v1::smtp_settings::Authentication;
use nuncio_api::v1::{AlarmRoute, OauthAuthentication, SmtpSettings, SmtpTarget};

use crate::command::settings::bundle::Bundle;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::input::{parse_pair_file, read_text, read_value};

#[derive(Args)]
#[command(next_help_heading = "Secrets")]
pub(super) struct SecretArgs {
    /// The client secret's value; without it the environment variable `NUNCIO_CLIENT_SECRET` counts
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// The value of the second client secret
    #[arg(long, value_name = "FILE")]
    next_client_secret_file: Option<PathBuf>,
    /// The private key of the certificate in PEM (PKCS #8)
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// The password of the mailbox
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The proxy's password
    #[arg(long, value_name = "FILE")]
    proxy_password_file: Option<PathBuf>,
    /// The secret of a webhook, by the id of its route: `on-call=FILE`; may be repeated
    #[arg(long = "webhook-secret-file", value_parser = parse_pair_file, value_name = "ID=FILE")]
    webhook_secret_files: Vec<(String, PathBuf)>,
    /// The password of an alarm route by SMTP, by the id of the route: `relay=FILE`; may be repeated
    #[arg(long = "route-password-file", value_parser = parse_pair_file, value_name = "ID=FILE")]
    route_password_files: Vec<(String, PathBuf)>,
}

impl SecretArgs {
    /// Puts the secrets where they belong; gives the fields that have one now.
    pub(super) async fn put_into(
        &self,
        bundle: &mut Bundle,
        environment: &Environment,
    ) -> Result<Vec<String>, Failure> {
        let mut given = Vec::new();
        for (id, path) in &self.webhook_secret_files {
            let name = format!("alarmRoutes/{id}");
            let mut routes = bundle.alarm_routes.iter_mut().flatten();
            let Some(AlarmRoute { target: Some(Target::Webhook(webhook)), .. }) =
                routes.find(|route| route.name == name)
            else {
                return Err(no_place("--webhook-secret-file"));
            };
            webhook.secret = read_value(path).await?;
            given.push(format!("{name}.webhook.secret"));
        }
        for (id, path) in &self.route_password_files {
            let name = format!("alarmRoutes/{id}");
            let mut routes = bundle.alarm_routes.iter_mut().flatten();
            let target = routes.find(|route| route.name == name);
            let target = target.and_then(|route| route.target.as_mut());
            let Some(Target::Smtp(SmtpTarget { password: Some(login), .. })) = target else {
                return Err(no_place("--route-password-file"));
            };
            login.password = read_value(path).await?;
            given.push(format!("{name}.smtp.password.password"));
        }
        if let Some(smtp) = &mut bundle.smtp {
            self.put_into_smtp(smtp, environment, &mut given).await?;
        } else if let Some(option) = self.smtp_option() {
            return Err(no_place(option));
        }
        Ok(given)
    }

    async fn put_into_smtp(
        &self,
        smtp: &mut SmtpSettings,
        environment: &Environment,
        given: &mut Vec<String>,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.proxy_password_file {
            let proxy = smtp.proxy.as_mut().ok_or_else(|| no_place("--proxy-password-file"))?;
            proxy.password = read_value(path).await?;
            given.push("proxy.password".to_owned());
        }
        let (mut password, mut oauth) = match &mut smtp.authentication {
            Some(Authentication::Password(password)) => (Some(password), None),
            Some(Authentication::Oauth(oauth)) => (None, Some(oauth)),
            None => (None, None),
        };
        if let Some(path) = &self.password_file {
            let password = password.as_mut().ok_or_else(|| no_place("--password-file"))?;
            password.password = read_value(path).await?;
            given.push("password.password".to_owned());
        }
        match &mut oauth {
            Some(oauth) => self.put_into_oauth(oauth, environment, given).await,
            None => self.oauth_option().map_or(Ok(()), |option| Err(no_place(option))),
        }
    }

    async fn put_into_oauth(
        &self,
        oauth: &mut OauthAuthentication,
        environment: &Environment,
        given: &mut Vec<String>,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.private_key_file {
            oauth.private_key_pem = read_text(path).await?;
            given.push("oauth.private_key_pem".to_owned());
        }
        let from_environment = environment.client_secret.as_ref();
        let from_environment = from_environment.filter(|_| oauth.certificate_pem.is_empty());
        if let Some(path) = &self.client_secret_file {
            oauth.client_secret = read_value(path).await?;
            given.push("oauth.client_secret".to_owned());
        } else if let Some(secret) = from_environment {
            oauth.client_secret.clone_from(secret);
            given.push("oauth.client_secret".to_owned());
        }
        if let Some(path) = &self.next_client_secret_file {
            let next = oauth.next_client_secret.as_mut();
            let next = next.ok_or_else(|| no_place("--next-client-secret-file"))?;
            next.value = read_value(path).await?;
            given.push("oauth.next_client_secret.value".to_owned());
        }
        Ok(())
    }

    fn oauth_option(&self) -> Option<&'static str> {
        let options = [
            (&self.client_secret_file, "--client-secret-file"),
            (&self.next_client_secret_file, "--next-client-secret-file"),
            (&self.private_key_file, "--private-key-file"),
        ];
        options.into_iter().find_map(|(file, option)| file.as_ref().map(|_| option))
    }

    fn smtp_option(&self) -> Option<&'static str> {
        let password = self.password_file.as_ref().map(|_| "--password-file");
        let proxy = self.proxy_password_file.as_ref().map(|_| "--proxy-password-file");
        self.oauth_option().or(password).or(proxy)
    }
}

fn no_place(option: &str) -> Failure {
    let problem = format!("`{option}` gives a secret for which the settings have no place");
    Failure::input(problem, "leave it out, or look at what the file says of it")
}
