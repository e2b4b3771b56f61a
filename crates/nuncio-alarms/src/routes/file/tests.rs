use super::*;

fn route(target: RouteTarget) -> Route {
    Route {
        id: "backup".to_owned(),
        enabled: true,
        target,
        timeout: Duration::from_secs(15),
        ca_certificates_pem: "pem".to_owned(),
    }
}

#[test]
fn a_document_gives_back_the_routes_that_were_written() {
    let secret = Sensitive::from("whsec_x".to_owned());
    let host = "h".to_owned();
    let smtp = |encryption, login| {
        RouteTarget::Smtp(SmtpTarget {
            host: "mx.example".to_owned(),
            port: 587,
            encryption,
            login,
            from: "nuncio@backup.example".parse().unwrap(),
            recipients: vec!["ops@backup.example".parse().unwrap()],
        })
    };
    let password = Password::from("hunter2".to_owned());
    let routes = [
        RouteTarget::Webhook { url: "https://a.example".to_owned(), secret },
        RouteTarget::Syslog { host, port: 514, transport: SyslogTransport::Udp },
        smtp(Encryption::StartTls, Some(SmtpLogin { username: "user".to_owned(), password })),
        smtp(Encryption::Tls, None),
        smtp(Encryption::None, None),
    ]
    .map(route);

    assert_eq!(read(&write(&routes)).unwrap(), routes);
}
