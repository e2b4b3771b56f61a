//! `nuncio doctor`

use clap::Args;
use nuncio_api::client::Clients;
use nuncio_api::v1::test_smtp_from_node_response::Event;
use nuncio_api::v1::{
    GetSmtpSettingsRequest, ListNodesRequest, SmtpNodeTest, SmtpSettings, SmtpTestOutcome,
    SmtpTestStage, TestSmtpFromNodeRequest, TestSmtpSettingsRequest,
};
use serde_json::json;
use tonic::Code;

use crate::command::settings::progress::{self, TestProgress};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::globals::Format;
use crate::names;
use crate::output::{Line, Tone};
use crate::run::Context;

mod nodes;
mod secret;

#[derive(Args)]
pub struct DoctorArgs {
    /// Test the saved settings from every live node that uses them, not only from the one that answers
    #[arg(long)]
    all_nodes: bool,
}

/// How a part was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Warning,
    Problem,
}

/// One part and how it was found.
struct Finding {
    part: String,
    verdict: Verdict,
    detail: String,
    remedy: String,
}

impl Finding {
    fn new(part: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { part: part.into(), verdict, detail: detail.into(), remedy: String::new() }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

pub(crate) async fn run(context: &mut Context<'_>, args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut clients = context.connect().await?;
    let mut findings = Vec::new();

    let response = clients.nodes.list_nodes(ListNodesRequest {}).await?.into_inner();
    let server = nodes::server(&context.globals.server, &response.nodes);
    note(context, &mut findings, vec![server])?;

    let settings = saved(&mut clients).await?;
    note(context, &mut findings, vec![settings_finding(settings.as_ref())])?;
    if let Some(settings) = &settings {
        let tests = if args.all_nodes {
            test_everywhere(context, &mut clients).await?
        } else {
            vec![test(context, &mut clients).await?]
        };
        let tested = tests.iter().flat_map(tested).collect();
        note(context, &mut findings, tested)?;
        note(context, &mut findings, secret::findings(settings))?;
    }
    for node in &response.nodes {
        note(context, &mut findings, nodes::node(node))?;
    }
    let backlog = nodes::backlog(&response.backlog.unwrap_or_default());
    note(context, &mut findings, vec![backlog])?;
    conclude(context, &findings)
}

/// Keeps findings and, for people, shows them at once.
fn note(
    context: &mut Context<'_>,
    findings: &mut Vec<Finding>,
    found: Vec<Finding>,
) -> Result<(), Failure> {
    for finding in found {
        if context.out.format() == Format::Table {
            let (mark, tone) = match finding.verdict {
                Verdict::Well => ("✓", Tone::Good),
                Verdict::Warning => ("!", Tone::Warning),
                Verdict::Problem => ("✗", Tone::Bad),
            };
            let line = Line::new().push(tone, mark).plain(format!(" {}: ", finding.part));
            context.out.line(line.plain(&finding.detail))?;
            if !finding.remedy.is_empty() {
                context
                    .out
                    .line(Line::new().plain("    remedy: ").push(Tone::Strong, &finding.remedy))?;
            }
        }
        findings.push(finding);
    }
    Ok(())
}

async fn saved(clients: &mut Clients) -> Result<Option<SmtpSettings>, Failure> {
    match clients.smtp_settings.get_smtp_settings(GetSmtpSettingsRequest {}).await {
        Ok(response) => Ok(response.into_inner().smtp_settings),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

fn settings_finding(settings: Option<&SmtpSettings>) -> Finding {
    match settings {
        Some(settings) => {
            let SmtpSettings { host, port, email_address, generation, .. } = settings;
            let more = match settings.additional_mailboxes.len() {
                0 => String::new(),
                1 => " and 1 more mailbox".to_owned(),
                count => format!(" and {count} more mailboxes"),
            };
            let through = match &settings.proxy {
                Some(proxy) => format!(", proxy {}", proxy.url),
                None => String::new(),
            };
            let detail = format!(
                "generation {generation}: {email_address}{more} over {host}:{port}{through}"
            );
            Finding::new("settings", Verdict::Well, detail)
        }
        None => Finding::new("settings", Verdict::Problem, "there are no SMTP settings yet")
            .remedy("set them with `nuncio settings smtp save --test …`"),
    }
}

/// Tests the saved settings from the node that answers, and shows the stages.
async fn test(context: &mut Context<'_>, clients: &mut Clients) -> Result<SmtpNodeTest, Failure> {
    let request = TestSmtpFromNodeRequest::default();
    let mut events = clients.nodes.test_smtp_from_node(request).await?.into_inner();
    let mut progress = TestProgress::start(context.out);
    let mut result = None;
    loop {
        let event = events.message().await.inspect_err(|_| progress.stop())?;
        match event.map(|event| event.event) {
            Some(Some(Event::Stage(stage))) if context.out.format() == Format::Table => {
                progress.stage(context.out, &stage)?;
            }
            Some(Some(Event::Result(test))) => result = Some(test),
            Some(Some(Event::Stage(_)) | None) => {}
            None => break,
        }
    }
    progress.finish(context.out)?;
    result.ok_or(Failure::Incomplete("result of the test"))
}

/// Has the saved settings tested from all nodes, and shows the stages.
async fn test_everywhere(
    context: &mut Context<'_>,
    clients: &mut Clients,
) -> Result<Vec<SmtpNodeTest>, Failure> {
    let request = TestSmtpSettingsRequest::default();
    let events = clients.smtp_settings.test_smtp_settings(request).await?.into_inner();
    // Programs get the findings alone.
    Ok(progress::follow(context.out, events, |_, _| Ok(())).await?.nodes)
}

fn tested(test: &SmtpNodeTest) -> Vec<Finding> {
    let is_failed = |stage: &&SmtpTestStage| stage.outcome() == SmtpTestOutcome::Failed;
    let failed: Vec<Finding> = test.stages.iter().filter(is_failed).map(failed_stage).collect();
    if failed.is_empty() {
        let detail = format!("the saved settings pass from {}", test.node);
        return vec![Finding::new("test", Verdict::Well, detail)];
    }
    failed
}

fn failed_stage(stage: &SmtpTestStage) -> Finding {
    let kind = names::stage(stage.kind());
    let of = match stage.mailbox.as_str() {
        "" => String::new(),
        mailbox => format!(" for {mailbox}"),
    };
    let SmtpTestStage { node, error_code, cause, .. } = stage;
    let detail = format!("{kind} failed{of} from {node}: {error_code}: {cause}");
    Finding::new("test", Verdict::Problem, detail).remedy(&stage.remedy)
}

fn conclude(context: &mut Context<'_>, findings: &[Finding]) -> Result<Exit, Failure> {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (problems, warnings) = (count(Verdict::Problem), count(Verdict::Warning));
    let exit = if problems == 0 { Exit::Ok } else { Exit::Refused };
    if context.out.format() == Format::Json {
        let all = findings.iter().map(|finding| {
            let outcome = match finding.verdict {
                Verdict::Well => "PASSED",
                Verdict::Warning => "WARNING",
                Verdict::Problem => "FAILED",
            };
            let Finding { part, detail, remedy, .. } = finding;
            json!({ "part": part, "outcome": outcome, "detail": detail, "remedy": remedy })
        });
        let findings: Vec<_> = all.collect();
        context.out.value(&json!({ "passed": problems == 0, "findings": findings }))?;
        return Ok(exit);
    }
    let line = match (problems, warnings) {
        (0, 0) => Line::new().push(Tone::Good, "all is well"),
        (0, warnings) => {
            Line::new().push(Tone::Warning, format!("mail goes out; warnings: {warnings}"))
        }
        (problems, warnings) => {
            Line::new().push(Tone::Bad, format!("problems: {problems}, warnings: {warnings}"))
        }
    };
    context.out.line(line)?;
    Ok(exit)
}
