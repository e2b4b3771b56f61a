use std::time::Duration;

use jiff::Timestamp;
use nuncio_core::address::EmailAddress;
use nuncio_core::class::MailClass;
use nuncio_core::job::{Job, JobState};
use nuncio_core::ports::job_store::JobStore as _;
use nuncio_delivery::observer::{Alarm, AlarmKind, DeliveryObserver};
use nuncio_runtime::clock::{TestClock, TestEntropy};
use nuncio_store::memory::MemoryJobStore;
use tokio::sync::watch;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;

const NAME: &str = "portals/lobby/templates/guest-username/locales/de";

struct Nobody;

impl DeliveryObserver for Nobody {
    fn job_accepted(&self, _class: MailClass) {}
    fn attempt_ended(&self, _class: MailClass, _outcome: &str, _elapsed: Duration) {}
    fn job_ended(&self, _class: MailClass, _state: JobState) {}
    fn alarm_raised(&self, _alarm: &Alarm) {}
    fn alarm_cleared(&self, _kind: AlarmKind, _mailbox: &EmailAddress) {}
}

fn api() -> (TemplatesApi, Arc<MemoryJobStore>) {
    let store = Arc::new(MemoryJobStore::default());
    let clock = Arc::new(TestClock::starting_at(Timestamp::UNIX_EPOCH));
    let share = TemplateShare::new(Arc::<MemoryJobStore>::clone(&store), clock.clone());
    let intake = Intake {
        store: Arc::<MemoryJobStore>::clone(&store),
        clock,
        entropy: Arc::new(TestEntropy::default()),
        observer: Arc::new(Nobody),
        settings: watch::channel(None).1,
        templates: share.templates(),
    };
    (TemplatesApi { share: Arc::new(share), intake }, store)
}

fn own(text: &str) -> v1::UpdateTemplateRequest {
    let template = v1::Template {
        name: NAME.to_owned(),
        subject: "Konto".to_owned(),
        text: text.to_owned(),
        ..v1::Template::default()
    };
    let template = Some(template);
    v1::UpdateTemplateRequest { template, allow_missing: true, validate_only: false }
}

async fn get(api: &TemplatesApi, name: &str) -> Result<v1::Template, Status> {
    let request = v1::GetTemplateRequest { name: name.to_owned() };
    Ok(api.get_template(Request::new(request)).await?.into_inner().template.unwrap())
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    reason: &str,
) -> Status {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, reason);
    status
}

#[tokio::test]
async fn own_texts_replace_the_shipped_ones_until_they_are_deleted() {
    let (api, _) = api();
    let shipped = get(&api, NAME).await.unwrap();
    assert_eq!((shipped.custom, shipped.source.as_str()), (false, "shipped/de"));
    assert!(shipped.variables.iter().any(|one| one.name == "username" && one.required));

    api.save(own("Konto: {{ username }}"), by()).await.unwrap();
    let saved = get(&api, NAME).await.unwrap();
    assert_eq!((saved.custom, saved.source.as_str(), saved.etag.as_str()), (true, NAME, "v1"));
    let other = get(&api, "portals/lobby/templates/guest-username/locales/de-AT").await.unwrap();
    assert_eq!((other.custom, other.source.as_str()), (false, NAME));

    let delete = v1::DeleteTemplateRequest { name: NAME.to_owned(), etag: "v1".to_owned() };
    api.delete_template(Request::new(delete.clone())).await.unwrap();
    assert_eq!(get(&api, NAME).await.unwrap(), shipped);
    let again = v1::DeleteTemplateRequest { etag: String::new(), ..delete };
    let refused = api.delete_template(Request::new(again)).await;
    check_refused(refused, Code::NotFound, "TEMPLATE_NOT_FOUND");
}

#[tokio::test]
async fn all_faults_of_texts_are_told_at_once() {
    let (api, _) = api();

    let refused = api.save(own("{{ usrname }}\n{% set a = 1 %}"), by()).await;

    let status = check_refused(refused, Code::InvalidArgument, "INVALID_TEMPLATE");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let told: Vec<_> = violations.iter().map(|one| one.description.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("line 1, column 4: there is no variable `usrname`"), "{told:#?}");
    assert!(told[1].starts_with("line 2, column 4: "), "{told:#?}");
    assert!(violations.iter().all(|one| one.field == "template.text"));
}

#[tokio::test]
async fn only_one_language_of_a_portal_serves_the_others() {
    let (api, _) = api();
    let mut first = own("{{ username }}");
    first.template.as_mut().unwrap().serves_other_languages = true;
    api.save(first.clone(), by()).await.unwrap();
    api.save(first.clone(), by()).await.unwrap();

    let mut second = first;
    second.template.as_mut().unwrap().name = NAME.replace("/de", "/fr");
    let refused = api.save(second, by()).await;

    let status = check_refused(refused, Code::InvalidArgument, "INVALID_TEMPLATE");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "template.serves_other_languages");
}

#[tokio::test]
async fn a_trial_to_save_saves_nothing() {
    let (api, _) = api();
    let trial = v1::UpdateTemplateRequest { validate_only: true, ..own("{{ username }}") };

    let told = api.save(trial, by()).await.unwrap();

    assert!(told.custom);
    assert!(!get(&api, NAME).await.unwrap().custom);
    let missing = v1::UpdateTemplateRequest { allow_missing: false, ..own("{{ username }}") };
    check_refused(api.save(missing, by()).await, Code::NotFound, "TEMPLATE_NOT_FOUND");
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused() {
    let (api, _) = api();
    for name in [
        "",
        "templates/alarm",
        "portals//templates/alarm/locales/de",
        "portals/a/templates/alarm/locales/",
        "portals/a/templates/alarm/locales/de_DE",
        "portals/a b/templates/alarm/locales/de",
    ] {
        check_refused(get(&api, name).await, Code::InvalidArgument, "INVALID_NAME");
    }
    let unknown = get(&api, "portals/a/templates/nope/locales/de").await;
    check_refused(unknown, Code::NotFound, "TEMPLATE_NOT_FOUND");
}

#[tokio::test]
async fn a_list_is_read_page_by_page() {
    let (api, _) = api();
    api.save(own("{{ username }}"), by()).await.unwrap();
    let mut request = v1::ListTemplatesRequest { page_size: 50, ..Default::default() };
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = api.list_templates(Request::new(request.clone())).await.unwrap().into_inner();
        names.extend(page.templates.into_iter().map(|one| one.name));
        pages += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }

    let all = Template::all().len() * nuncio_core::template::shipped::LANGUAGES.len() + 1;
    assert_eq!((names.len(), pages), (all, all.div_ceil(50)));
    assert!(names.is_sorted() && names.contains(&NAME.to_owned()));

    let own_only = v1::ListTemplatesRequest { custom_only: true, ..Default::default() };
    let page = api.list_templates(Request::new(own_only)).await.unwrap().into_inner();
    assert_eq!(page.templates.len(), 1);
    assert!(page.templates[0].text.is_empty() && page.templates[0].variables.is_empty());

    for (field, request) in [
        ("portal", v1::ListTemplatesRequest { portal: "a/b".to_owned(), ..Default::default() }),
        (
            "template",
            v1::ListTemplatesRequest { template: "nope".to_owned(), ..Default::default() },
        ),
        ("locale", v1::ListTemplatesRequest { locale: "d".to_owned(), ..Default::default() }),
    ] {
        let refused = api.list_templates(Request::new(request)).await;
        let status = check_refused(refused, Code::InvalidArgument, "INVALID_FILTER");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field);
    }
    let forged = v1::ListTemplatesRequest { page_token: "x".to_owned(), ..Default::default() };
    let refused = api.list_templates(Request::new(forged)).await;
    check_refused(refused, Code::InvalidArgument, "INVALID_PAGE_TOKEN");
}

#[tokio::test]
async fn a_preview_shows_samples_drafts_and_given_values() {
    let (api, _) = api();
    let preview = async |request: v1::PreviewTemplateRequest| {
        Ok::<_, Status>(api.preview_template(Request::new(request)).await?.into_inner())
    };
    let request = v1::PreviewTemplateRequest { name: NAME.to_owned(), ..Default::default() };

    let shipped = preview(request.clone()).await.unwrap();
    assert_eq!(shipped.source, "shipped/de");
    assert!(shipped.text.contains("Benutzername: jdoe01\n"), "{}", shipped.text);

    let draft = v1::TemplateDraft {
        subject: "S".to_owned(),
        text: "{{ username }} {{ company }}".to_owned(),
        html: String::new(),
    };
    let variables = [("username".to_owned(), "<u>".to_owned())].into();
    let given = v1::PreviewTemplateRequest {
        draft: Some(draft),
        variables,
        no_samples: true,
        ..request.clone()
    };
    let made = preview(given.clone()).await.unwrap();
    assert_eq!((made.source.as_str(), made.text.as_str()), ("draft", "<u>\n"));
    assert!(made.html.contains("&lt;u&gt;"), "{}", made.html);

    let broken = v1::TemplateDraft { text: "{{".to_owned(), ..given.draft.clone().unwrap() };
    let refused =
        preview(v1::PreviewTemplateRequest { draft: Some(broken), ..given.clone() }).await;
    check_refused(refused, Code::InvalidArgument, "INVALID_TEMPLATE");
    let missing = v1::PreviewTemplateRequest { variables: [].into(), ..given };
    check_refused(preview(missing).await, Code::InvalidArgument, "INVALID_TEMPLATE");
    assert!(!format!("{request:?}").contains("jdoe01"));
}

#[tokio::test]
async fn a_test_mail_is_a_mail_job_that_says_so() {
    let (api, store) = api();
    api.save(own("Konto: {{ username }}"), by()).await.unwrap();
    let to = v1::Mailbox { address: "a@example.com".to_owned(), ..Default::default() };
    let request = v1::SendTestEmailRequest {
        name: NAME.to_owned(),
        to: Some(to),
        request_id: "1".to_owned(),
        ..Default::default()
    };

    let one = api.send(request.clone(), by()).await.unwrap();
    let again = api.send(request.clone(), by()).await.unwrap();

    assert_eq!(one.name, again.name);
    assert_eq!((one.subject.as_str(), one.labels["test"].as_str()), ("[Test] Konto", "template"));
    let stored: Job = store.get(one.name.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.class, MailClass::Credentials);
    let address: EmailAddress = "a@example.com".parse().unwrap();
    assert_eq!(stored.recipients[0].address, address);

    let nobody =
        v1::SendTestEmailRequest { to: None, request_id: String::new(), ..request.clone() };
    check_refused(api.send(nobody, by()).await, Code::InvalidArgument, "INVALID_MAIL_JOB");
    let other =
        v1::SendTestEmailRequest { variables: [("username".into(), "x".into())].into(), ..request };
    check_refused(api.send(other, by()).await, Code::AlreadyExists, "REQUEST_ID_REUSED");
}

fn by() -> CallerId {
    nuncio_core::caller::Caller::local().id
}
