use nuncio_cluster::embedded::{EmbeddedCluster, load_keys};
use nuncio_core::settings::draft::SmtpSettingsDraft;

use super::*;

async fn api() -> (SettingsApi, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let keys = load_keys(folder.path(), None).unwrap();
    let cluster = EmbeddedCluster::open(folder.path(), keys).unwrap();
    for (at, document) in [
        ("2026-01-01T00:00:00Z", SettingsDocument::Reminders),
        ("2026-01-03T00:00:00Z", SettingsDocument::GuestMail),
        ("2026-01-03T00:00:00Z", SettingsDocument::GuestMail),
        ("2026-01-04T00:00:00Z", SettingsDocument::PortalKeys),
    ] {
        cluster.save_document(document, "{}".to_owned().into(), change(at), None).await.unwrap();
    }
    let smtp = SmtpSettingsDraft {
        host: "mail.example.com".to_owned(),
        port: 587,
        email_address: "nuncio@example.com".to_owned(),
        ..SmtpSettingsDraft::default()
    };
    cluster
        .save_smtp(smtp.check(None).unwrap(), change("2026-01-02T00:00:00Z"), None)
        .await
        .unwrap();
    (SettingsApi { settings: Arc::new(cluster) }, folder)
}

fn change(at: &str) -> DocumentChange {
    let (caller, summary) = ("local".to_owned(), "sender".to_owned());
    DocumentChange { caller, at: at.parse().unwrap(), summary }
}

async fn list(api: &SettingsApi, document: &str) -> Result<Vec<(String, i64)>, Status> {
    let request = v1::ListSettingsChangesRequest { document: document.to_owned() };
    let listed = api.list_settings_changes(Request::new(request)).await?.into_inner().changes;
    Ok(listed.into_iter().map(|one| (one.document, one.generation)).collect())
}

#[tokio::test]
async fn the_changes_of_all_documents_are_told_the_newest_first() {
    let (api, _folder) = api().await;

    let listed = list(&api, "").await.unwrap();

    let expect = [("guest-mail", 2), ("guest-mail", 1), ("smtp", 1), ("reminders", 1)];
    assert_eq!(listed, expect.map(|(name, generation)| (name.to_owned(), generation)));
}

#[tokio::test]
async fn the_changes_of_one_document_are_told_alone() {
    let (api, _folder) = api().await;

    let smtp = list(&api, "smtp").await.unwrap();
    let alarms = list(&api, "alarms").await.unwrap();

    assert_eq!(smtp, [("smtp".to_owned(), 1)]);
    assert_eq!(alarms, []);
}

#[tokio::test]
async fn a_document_that_nobody_edits_or_that_is_none_is_refused_with_those_that_there_are() {
    let (api, _folder) = api().await;

    for name in ["portal-keys", "smpt"] {
        let refused = list(&api, name).await.unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        let known =
            "smtp, guest-mail, alarms, reminders, alarm-routes, trust-store, log-levels, callers";
        assert!(refused.message().ends_with(known), "{}", refused.message());
    }
}
