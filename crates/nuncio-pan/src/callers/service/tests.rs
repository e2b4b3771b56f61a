//! The service over settings in files.

use nuncio_api::error::reason;
use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::caller::Caller;
use nuncio_runtime::clock::{SystemClock, SystemEntropy};
use tempfile::TempDir;

use super::*;

fn api() -> (CallersApi, TempDir) {
    let folder = TempDir::new().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let settings = Arc::new(EmbeddedCluster::open(folder.path(), keys).unwrap());
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    (CallersApi { settings, clock, entropy }, folder)
}

fn wanted(name: &str, credential: v1::CallerCredential) -> v1::Caller {
    v1::Caller {
        name: name.to_owned(),
        permissions: vec![v1::CallerPermission::Submit.into()],
        credential: credential.into(),
        ..v1::Caller::default()
    }
}

async fn create(api: &CallersApi, caller: v1::Caller) -> Result<v1::CreateCallerResponse, Status> {
    let mut request = Request::new(v1::CreateCallerRequest { caller: Some(caller) });
    let by = Caller { id: CallerId("root".to_owned()), ..Caller::local() };
    request.extensions_mut().insert(by);
    api.create_caller(request).await.map(Response::into_inner)
}

#[tokio::test]
async fn a_token_is_told_once_and_kept_as_a_digest() {
    let (api, _folder) = api();

    let first = create(&api, wanted("a", v1::CallerCredential::Token)).await.unwrap();
    let second = create(&api, wanted("b", v1::CallerCredential::Token)).await.unwrap();

    assert!(first.token.starts_with("nuncio_") && 50 <= first.token.len(), "{}", first.token);
    assert_ne!(first.token, second.token);
    let saved = api.settings.document(SettingsDocument::Callers).borrow().clone().unwrap();
    assert!(!saved.content.expose().contains(&first.token[7..]));
    assert!(!format!("{first:?}{saved:?}").contains(&first.token[7..]));
    let (callers, _) = api.present().unwrap();
    assert_eq!(callers.by_token(&first.token).unwrap().name, "a");
    let change = &saved.history[0];
    assert_eq!(
        (change.caller.as_str(), change.summary.as_str()),
        ("root", "+b (submit; by token)")
    );
}

#[tokio::test]
async fn a_caller_is_made_once_and_deleted_once() {
    let (api, _folder) = api();
    let by_certificate = || wanted("portal-app", v1::CallerCredential::Certificate);
    assert_eq!(create(&api, by_certificate()).await.unwrap().token, "");

    let again = create(&api, by_certificate()).await.unwrap_err();
    assert_eq!(reason(&again).as_deref(), Some("CALLER_EXISTS"));
    let delete = async || {
        let request = v1::DeleteCallerRequest { name: "portal-app".to_owned() };
        api.delete_caller(Request::new(request)).await
    };
    delete().await.unwrap();
    assert_eq!(reason(&delete().await.unwrap_err()).as_deref(), Some("CALLER_NOT_FOUND"));
    let listed = api.list_callers(Request::new(v1::ListCallersRequest {})).await.unwrap();
    assert_eq!(listed.into_inner().callers, []);
}

#[tokio::test]
async fn what_is_no_caller_is_refused_with_all_that_is_wrong() {
    let (api, _folder) = api();
    let nothing = v1::Caller { name: "local".to_owned(), ..v1::Caller::default() };

    let refused = create(&api, nothing).await.unwrap_err();

    assert_eq!(reason(&refused).as_deref(), Some("INVALID_CALLER"));
    let details = tonic_types::StatusExt::get_error_details(&refused);
    let fields = details.bad_request().unwrap().field_violations.iter();
    let fields: Vec<_> = fields.map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["caller.credential", "caller.name", "caller.permissions"]);
}
