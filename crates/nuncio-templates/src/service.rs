//! `TemplateService`: converts at the edge; texts are checked and filled in core.

use nuncio_api::caller::caller_id;
use std::collections::BTreeMap;
use std::sync::Arc;

use nuncio_api::convert::template::{template_about, template_variables, texts_key, texts_name};
use nuncio_api::convert::time::timestamp;
use nuncio_api::page_token::{next_name_token, page_size, start_of_names};
use nuncio_api::v1;
use nuncio_api::v1::template_service_server::TemplateService;
use nuncio_core::job::{CallerId, JobOptionsDraft};
use nuncio_core::mail::{ContentDraft, MailDraft, MailboxDraft};
use nuncio_core::ports::job_store::Submitted;
use nuncio_core::secret::Sensitive;
use nuncio_core::template::catalogue::Template;
use nuncio_core::template::check::check;
use nuncio_core::template::custom::{CustomTexts, Texts, TextsKey};
use nuncio_core::template::locale::parse_locale;
use nuncio_core::template::{Rendered, TemplateUse, Variables};
use nuncio_core::violation::Violations;
use nuncio_delivery::intake::{Intake, Submission};
use prost::Message as _;
use tonic::{Request, Response, Status};
use tracing::info;

use crate::errors::{invalid_template, not_accepted, not_found, not_rendered, not_written, store};
use crate::list::{Filter, rows};
use crate::share::{SavedTexts, TemplateShare, Wanted};

/// Stands before the subject of a test mail.
const TEST_MARK: &str = "[Test] ";
/// The label of a test mail.
const TEST_LABEL: (&str, &str) = ("test", "template");
/// The source of what is made from texts that are not saved.
const DRAFT: &str = "draft";

pub(crate) struct TemplatesApi {
    pub(crate) share: Arc<TemplateShare>,
    pub(crate) intake: Intake,
}

/// What is to be shown or sent for trial.
struct Trial {
    name: String,
    draft: Option<v1::TemplateDraft>,
    variables: BTreeMap<String, String>,
    samples: bool,
}

impl TemplatesApi {
    /// Texts as the API tells them: the portal's own, or those that stand behind them.
    fn tell(
        &self,
        key: &TextsKey,
        template: &Template,
        saved: Option<&SavedTexts>,
    ) -> v1::Template {
        let own = saved.and_then(|saved| Some((saved, saved.custom.as_ref()?)));
        let mut told = v1::Template {
            name: texts_name(key),
            variables: template_variables(template),
            ..template_about(template)
        };
        let texts = if let Some((saved, custom)) = own {
            told.custom = true;
            told.source.clone_from(&told.name);
            told.etag = saved.etag();
            told.update_time = Some(timestamp(saved.updated_at));
            told.serves_other_languages = custom.is_default;
            custom.texts.clone()
        } else {
            let templates = self.share.templates().borrow().clone();
            let (source, texts) = templates.texts(template, &key.portal, &key.locale);
            told.source = source_name(template, source.portal.as_deref(), &source.locale);
            texts
        };
        Texts { subject: told.subject, text: told.text, html: told.html } = texts;
        told
    }

    async fn save(
        &self,
        request: v1::UpdateTemplateRequest,
        by: CallerId,
    ) -> Result<v1::Template, Status> {
        let given = request.template.unwrap_or_default();
        let (key, template) = known(&given.name)?;
        let texts = Texts { subject: given.subject, text: given.text, html: given.html };
        let locale = parse_locale(&key.locale).expect("the key was made from a locale");
        let mut violations = check(template, &locale, &texts, "template");
        let custom = CustomTexts { texts, is_default: given.serves_other_languages };
        if custom.is_default {
            let all = self.share.all().await.map_err(|error| store(&error))?;
            let other = all.iter().find(|(other, saved)| {
                let is_same = (&other.portal, &other.template) == (&key.portal, &key.template);
                let is_default = saved.custom.as_ref().is_some_and(|custom| custom.is_default);
                is_same && is_default && other.locale != key.locale
            });
            if let Some((other, _)) = other {
                let problem =
                    format!("the texts in `{}` do so already; change them first", other.locale);
                violations.add("template.serves_other_languages", problem);
            }
        }
        if !violations.is_empty() {
            return Err(invalid_template(violations));
        }
        let wanted = Wanted {
            etag: Some(given.etag).filter(|etag| !etag.is_empty()),
            allow_missing: request.allow_missing,
            caller: by.0,
        };
        if request.validate_only {
            let saved = self.share.would_save(&key, &custom, &wanted).await;
            let saved = saved.map_err(|error| not_written(error, &given.name))?;
            return Ok(self.tell(&key, template, Some(&saved)));
        }
        let saved = self.share.save(&key, &custom, wanted).await;
        let saved = saved.map_err(|error| not_written(error, &given.name))?;
        let name = texts_name(&key);
        info!(name, "template `{name}` was saved");
        Ok(self.tell(&key, template, Some(&saved)))
    }

    fn make(&self, trial: Trial) -> Result<(Rendered, String), Status> {
        let (key, template) = known(&trial.name)?;
        let locale = parse_locale(&key.locale).expect("the key was made from a locale");
        let mut templates = self.share.templates().borrow().clone();
        let is_draft = trial.draft.is_some();
        if let Some(draft) = trial.draft {
            let texts = Texts::from(draft);
            let violations = check(template, &locale, &texts, DRAFT);
            if !violations.is_empty() {
                return Err(invalid_template(violations));
            }
            templates = templates.and(key.clone(), CustomTexts { texts, is_default: false });
        }
        let given = trial.variables.into_iter();
        let given = given.map(|(name, value)| (name, Sensitive::from(value)));
        let mut variables = if trial.samples { template.samples() } else { Variables::new() };
        variables.extend(given);
        let (name, portal) = (template.name(), Some(key.portal.as_str()));
        let wanted =
            TemplateUse { name: &name, portal, locale: &key.locale, variables: &variables };
        let made = templates.render(&wanted).map_err(not_rendered)?;
        let source = if is_draft {
            DRAFT.to_owned()
        } else {
            source_name(template, made.source.portal.as_deref(), &made.source.locale)
        };
        Ok((made, source))
    }

    async fn send(
        &self,
        request: v1::SendTestEmailRequest,
        by: CallerId,
    ) -> Result<v1::MailJob, Status> {
        let fingerprint = fingerprint(&request);
        let v1::SendTestEmailRequest { name, draft, variables, to, request_id } = request;
        let (made, _) = self.make(Trial { name, draft, variables, samples: true })?;
        let subject = format!("{TEST_MARK}{}", made.subject);
        let content = ContentDraft::Raw { subject, text: made.text, html: made.html };
        let to = to.map(MailboxDraft::from).into_iter().collect();
        let submission = Submission {
            mail: MailDraft { to, content: Some(content), ..MailDraft::default() },
            // Somebody waits for it.
            class: Some(nuncio_core::class::MailClass::Credentials),
            options: JobOptionsDraft {
                request_id,
                labels: [(TEST_LABEL.0.to_owned(), TEST_LABEL.1.to_owned())].into(),
                ..JobOptionsDraft::default()
            },
            caller: by,
            fingerprint,
            trace: None,
            violations: Violations::default(),
        };
        match self.intake.submit(submission).await.map_err(not_accepted)? {
            Submitted::New(job) | Submitted::Existing(job) => Ok(job.into()),
        }
    }
}

#[tonic::async_trait]
impl TemplateService for TemplatesApi {
    async fn list_templates(
        &self,
        request: Request<v1::ListTemplatesRequest>,
    ) -> Result<Response<v1::ListTemplatesResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let start = start_of_names(&request.page_token)?;
        let filter = Filter::read(&request).map_err(|violations| {
            nuncio_api::error::invalid("INVALID_FILTER", "the filter is not valid", violations)
        })?;
        let all = self.share.all().await.map_err(|error| store(&error))?;
        let mut templates: Vec<v1::Template> = rows(&filter, &all)
            .into_iter()
            .map(|(key, template)| {
                let told = self.tell(&key, template, all.get(&key));
                let (variables, text, html) = <(Vec<_>, String, String)>::default();
                v1::Template { variables, text, html, ..told }
            })
            .filter(|told| start < told.name)
            .collect();
        templates.sort_by(|a, b| a.name.cmp(&b.name));
        let goes_on = limit < templates.len();
        templates.truncate(limit);
        let last = templates.last().filter(|_| goes_on);
        let next_page_token = last.map(|last| next_name_token(&last.name)).unwrap_or_default();
        Ok(Response::new(v1::ListTemplatesResponse { templates, next_page_token }))
    }

    async fn get_template(
        &self,
        request: Request<v1::GetTemplateRequest>,
    ) -> Result<Response<v1::GetTemplateResponse>, Status> {
        let (key, template) = known(&request.into_inner().name)?;
        let saved = self.share.get(&key).await.map_err(|error| store(&error))?;
        let template = Some(self.tell(&key, template, saved.as_ref()));
        Ok(Response::new(v1::GetTemplateResponse { template }))
    }

    async fn update_template(
        &self,
        request: Request<v1::UpdateTemplateRequest>,
    ) -> Result<Response<v1::UpdateTemplateResponse>, Status> {
        let by = caller_id(&request);
        let template = Some(self.save(request.into_inner(), by).await?);
        Ok(Response::new(v1::UpdateTemplateResponse { template }))
    }

    async fn delete_template(
        &self,
        request: Request<v1::DeleteTemplateRequest>,
    ) -> Result<Response<v1::DeleteTemplateResponse>, Status> {
        let by = caller_id(&request);
        let v1::DeleteTemplateRequest { name, etag } = request.into_inner();
        let key = texts_key(&name)?;
        let wanted = Wanted {
            etag: Some(etag).filter(|etag| !etag.is_empty()),
            allow_missing: false,
            caller: by.0,
        };
        self.share.delete(&key, wanted).await.map_err(|error| not_written(error, &name))?;
        info!(name, "template `{name}` was deleted");
        Ok(Response::new(v1::DeleteTemplateResponse {}))
    }

    async fn preview_template(
        &self,
        request: Request<v1::PreviewTemplateRequest>,
    ) -> Result<Response<v1::PreviewTemplateResponse>, Status> {
        let v1::PreviewTemplateRequest { name, draft, variables, no_samples } =
            request.into_inner();
        let (made, source) = self.make(Trial { name, draft, variables, samples: !no_samples })?;
        let Rendered { subject, text, html, .. } = made;
        Ok(Response::new(v1::PreviewTemplateResponse { subject, text, html, source }))
    }

    async fn send_test_email(
        &self,
        request: Request<v1::SendTestEmailRequest>,
    ) -> Result<Response<v1::SendTestEmailResponse>, Status> {
        let by = caller_id(&request);
        let mail_job = Some(self.send(request.into_inner(), by).await?);
        Ok(Response::new(v1::SendTestEmailResponse { mail_job }))
    }

    async fn list_template_changes(
        &self,
        request: Request<v1::ListTemplateChangesRequest>,
    ) -> Result<Response<v1::ListTemplateChangesResponse>, Status> {
        let key = texts_key(&request.into_inner().name)?;
        let saved = self.share.get(&key).await.map_err(|error| store(&error))?;
        let history = saved.map(|saved| saved.history).unwrap_or_default();
        let change = |change: crate::share::Change| v1::TemplateChange {
            time: Some(timestamp(change.at)),
            caller: change.caller,
            summary: change.summary,
        };
        let changes = history.into_iter().map(change).collect();
        Ok(Response::new(v1::ListTemplateChangesResponse { changes }))
    }
}

/// The texts and the template that a name means.
fn known(name: &str) -> Result<(TextsKey, &'static Template), Status> {
    let key = texts_key(name)?;
    let template = Template::find(&key.template).ok_or_else(|| not_found(name))?;
    Ok((key, template))
}

/// Whose texts they are.
fn source_name(template: &Template, portal: Option<&str>, locale: &str) -> String {
    portal.map_or_else(
        || format!("shipped/{locale}"),
        |portal| {
            let (portal, template) = (portal.to_owned(), template.id.to_owned());
            texts_name(&TextsKey { portal, template, locale: locale.to_owned() })
        },
    )
}

/// A digest of all that a request asks for; its request id is not part of it.
fn fingerprint(request: &v1::SendTestEmailRequest) -> [u8; 32] {
    let content = v1::SendTestEmailRequest { request_id: String::new(), ..request.clone() };
    // Maps are encoded in the order of their keys, so equal requests have equal bytes.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content.encode_to_vec());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests;
