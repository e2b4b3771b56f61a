use super::*;

fn check_url(url: &str, expect: Result<&str, ProxyUrlError>) {
    let address = url.parse::<ProxyAddress>();
    assert_eq!(address.map(|address| address.to_string()), expect.map(str::to_owned), "{url}");
}

#[test]
fn a_proxy_is_named_by_scheme_host_and_port() {
    check_url("http://proxy.example.com:3128", Ok("http://proxy.example.com:3128"));
    check_url("HTTP://10.1.2.3:8080/", Ok("http://10.1.2.3:8080"));
    check_url("socks5://[2001:db8::1]:1080", Ok("socks5://[2001:db8::1]:1080"));
    check_url("https://proxy.example.com:3128", Err(ProxyUrlError::Scheme));
    check_url("socks5h://proxy.example.com:1080", Err(ProxyUrlError::Scheme));
    check_url("proxy.example.com:3128", Err(ProxyUrlError::Scheme));
    check_url("http://user:secret@proxy.example.com:3128", Err(ProxyUrlError::Credentials));
    check_url("http://proxy.example.com", Err(ProxyUrlError::Port));
    check_url("http://proxy.example.com:0", Err(ProxyUrlError::Port));
    check_url("http://proxy.example.com:65536", Err(ProxyUrlError::Port));
    check_url("http://[2001:db8::1]", Err(ProxyUrlError::Port));
    check_url("http://:3128", Err(ProxyUrlError::Host));
    check_url("http://a b:3128", Err(ProxyUrlError::Host));
    check_url("http://[proxy]:3128", Err(ProxyUrlError::Host));
    check_url("http://2001:db8::1:3128", Err(ProxyUrlError::Host));
    check_url("http://proxy.example.com:3128/path", Err(ProxyUrlError::Path));
}

fn check_bypass(bypass: &str, direct: &[&str], through: &[&str]) {
    let parsed: Bypass = bypass.parse().unwrap();
    for host in direct {
        assert!(parsed.holds(host), "{bypass} is for {host}");
    }
    for host in through {
        assert!(!parsed.holds(host), "{bypass} is not for {host}");
    }
    assert_eq!(parsed.to_string().parse::<Bypass>(), Ok(parsed));
}

#[test]
fn servers_past_the_proxy_are_named_in_three_ways() {
    check_bypass(
        "Mail.Example.com",
        &["mail.example.com", "MAIL.example.com."],
        &["a.mail.example.com", "example.com"],
    );
    for domain in [".example.com", "*.example.com"] {
        check_bypass(
            domain,
            &["mail.example.com", "a.b.example.com", "example.com"],
            &["badexample.com", "example.com.test"],
        );
    }
    check_bypass("10.0.0.0/8", &["10.1.2.3"], &["11.1.2.3", "mail.example.com"]);
    check_bypass("10.1.2.3/8", &["10.9.9.9"], &["11.1.2.3"]);
    check_bypass("192.0.2.1", &["192.0.2.1"], &["192.0.2.2"]);
    check_bypass("2001:db8::/32", &["2001:db8::5"], &["2001:db9::5"]);
    check_bypass("[::1]", &["::1"], &["::2"]);
    check_bypass("localhost", &["localhost"], &["127.0.0.1"]);
}

#[test]
fn what_names_no_server_is_refused() {
    for text in ["", ".", "*", "a b", "10.0.0.0/33", "*.*.com", "http://a", "a..b"] {
        assert_eq!(text.parse::<Bypass>(), Err(BypassError), "{text}");
    }
}
