use nuncio_core::caller::certificate_name::NoCertificateName;
use nuncio_core::caller::known::Credential;

use super::*;

const TOKEN: &str = "nuncio_of-the-portal";
const OWN: &str = "nuncio_of-this-process";

fn known(name: &str, permission: Permission, credential: Credential) -> KnownCaller {
    let permissions = BTreeSet::from([permission]);
    let created_at = "2026-11-30T12:00:00Z".parse().unwrap();
    let limits = CallerLimits::default();
    KnownCaller { name: name.to_owned(), permissions, limits, credential, created_at }
}

/// A portal with a token, a monitor with a certificate, and an administrator by configuration.
fn access() -> (Access, watch::Sender<Option<Arc<SavedDocument>>>) {
    let callers = Callers(vec![
        known("monitor", Permission::Read, Credential::Certificate),
        known("portal", Permission::Submit, Credential::Token(TokenHash::of(TOKEN))),
    ]);
    let content = document::encode(&callers);
    let saved = SavedDocument { content, generation: 1, history: Vec::new() };
    let (tell, document) = watch::channel(Some(Arc::new(saved)));
    let administrators = BTreeSet::from(["root".to_owned()]);
    (Access::new(document, administrators, (OWN, "psn-1"), Arc::new(Metrics::new())), tell)
}

fn certificate(name: &str) -> Link {
    Link::Tls(Some(format!("spiffe://nuncio.local/nuncio/{name}").parse()))
}

fn with(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
}

fn admit(headers: &HeaderMap, link: &Link, path: &str) -> Result<String, &'static str> {
    let need = table::need(path).unwrap();
    let admitted = access().0.admit(need, headers, link);
    let id = |admitted: Option<Admitted>| admitted.map_or_else(String::new, |one| one.caller.id.0);
    admitted.map(id).map_err(|denial| {
        assert!(!denial.message().contains(TOKEN));
        denial.reason()
    })
}

const CREATE: &str = "/nuncio.v1.MailJobService/CreateMailJob";
const LIST: &str = "/nuncio.v1.MailJobService/ListMailJobs";
const SAVE: &str = "/nuncio.v1.SmtpSettingsService/UpdateSmtpSettings";
const RAISE: &str = "/nuncio.v1.AlarmService/RaiseAlarms";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

#[test]
fn a_caller_with_a_certificate_may_what_it_was_given() {
    let check = |name: &str, path: &str| admit(&HeaderMap::new(), &certificate(name), path);

    assert_eq!(check("client/monitor", LIST), Ok("monitor".to_owned()));
    assert_eq!(check("client/monitor", CREATE), Err("PERMISSION_MISSING"));
    assert_eq!(check("client/root", SAVE), Ok("root".to_owned()));
    assert_eq!(check("client/stranger", LIST), Err("CALLER_UNKNOWN"));
    // It has a token, and no certificate.
    assert_eq!(check("client/portal", CREATE), Err("CALLER_UNKNOWN"));
    assert_eq!(check("node/psn-2", RAISE), Ok("node:psn-2".to_owned()));
    assert_eq!(check("node/psn-2", SAVE), Err("PERMISSION_MISSING"));
    assert_eq!(check("node/root", SAVE), Err("PERMISSION_MISSING"));
}

#[test]
fn a_caller_with_a_token_may_what_it_was_given_and_the_token_counts_first() {
    let nobody = Link::Tls(None);
    let check =
        |authorization: &str, link: &Link, path: &str| admit(&with(authorization), link, path);
    let bearer = format!("Bearer {TOKEN}");

    assert_eq!(check(&bearer, &nobody, CREATE), Ok("portal".to_owned()));
    assert_eq!(check(&format!("bearer {TOKEN}"), &nobody, CREATE), Ok("portal".to_owned()));
    assert_eq!(check(&bearer, &nobody, SAVE), Err("PERMISSION_MISSING"));
    assert_eq!(check(&bearer, &certificate("client/root"), SAVE), Err("PERMISSION_MISSING"));
    assert_eq!(check(&bearer, &Link::Clear, SAVE), Err("PERMISSION_MISSING"));
    for wrong in ["Bearer nuncio_other", "Bearer ", "Bearer", TOKEN, &format!("Basic {TOKEN}")] {
        assert_eq!(check(wrong, &Link::Clear, CREATE), Err("TOKEN_UNKNOWN"), "{wrong}");
    }
    assert_eq!(check(&format!("Bearer {OWN}"), &nobody, RAISE), Ok("node:psn-1".to_owned()));
    assert_eq!(check(&format!("Bearer {OWN}"), &nobody, SAVE), Err("PERMISSION_MISSING"));
}

#[test]
fn nobody_is_let_in_by_tls_and_everybody_in_the_clear_and_health_is_open() {
    let none = HeaderMap::new();
    let other = Link::Tls(Some(Err(NoCertificateName::OtherForm)));

    assert_eq!(admit(&none, &Link::Tls(None), LIST), Err("CREDENTIALS_MISSING"));
    assert_eq!(admit(&none, &other, LIST), Err("CERTIFICATE_UNKNOWN"));
    assert_eq!(admit(&none, &Link::Clear, SAVE), Ok("local".to_owned()));
    assert_eq!(admit(&none, &Link::Tls(None), HEALTH), Ok(String::new()));
    assert_eq!(admit(&with("Bearer x"), &other, HEALTH), Ok(String::new()));
}

#[test]
fn a_caller_that_is_deleted_is_refused_with_its_next_call() {
    let (access, tell) = access();
    let need = table::need(LIST).unwrap();
    let admit = || access.admit(need, &HeaderMap::new(), &certificate("client/monitor")).is_ok();
    assert!(admit());

    let content = document::encode(&Callers::default());
    tell.send_replace(Some(Arc::new(SavedDocument { content, generation: 2, history: vec![] })));
    assert!(!admit());
    // What cannot be read grants nothing, too.
    let content = "{}".to_owned().into();
    tell.send_replace(Some(Arc::new(SavedDocument { content, generation: 3, history: vec![] })));
    assert!(!admit());
}

#[test]
fn a_denied_call_says_what_is_missing() {
    let denial = Denial::PermissionMissing(CallerId("portal".to_owned()), Permission::Administer);
    let told = denial.status(SAVE);

    assert_eq!(told.code(), Code::PermissionDenied);
    assert_eq!(told.message(), "the caller `portal` has not the permission `administer`");
    assert_eq!(nuncio_api::error::reason(&told).as_deref(), Some("PERMISSION_MISSING"));
    assert_eq!(Denial::NoCredentials.status(SAVE).code(), Code::Unauthenticated);
}
