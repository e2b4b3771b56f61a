//! Shows a test of SMTP settings while it runs.

use std::collections::BTreeMap;
use std::io;

use indicatif::ProgressBar;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_api::v1::{SmtpTestOutcome, SmtpTestReport, SmtpTestStage, TestSmtpSettingsResponse};
use tonic::Streaming;

use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Output, Tone};
use crate::view;

/// Shows the stages of a test as they end.
pub(crate) struct TestProgress {
    spinner: ProgressBar,
    /// The node whose stages are shown as they end: the first that tells one.
    node: String,
    /// What the others tell meanwhile, as all test at the same time.
    others: BTreeMap<String, Vec<SmtpTestStage>>,
}

/// Shows a test from all nodes while it runs, and gives its report. `tell` gets each event before it is shown.
pub(crate) async fn follow(
    out: &mut Output,
    mut events: Streaming<TestSmtpSettingsResponse>,
    tell: impl Fn(&mut Output, &TestSmtpSettingsResponse) -> io::Result<()>,
) -> Result<SmtpTestReport, Failure> {
    let mut progress = TestProgress::start(out);
    let mut report = None;
    while let Some(told) = events.message().await.inspect_err(|_| progress.stop())? {
        tell(out, &told)?;
        match told.event {
            Some(Event::Stage(stage)) if out.format() == Format::Table => {
                progress.stage(out, &stage)?;
            }
            Some(Event::Report(told)) => report = Some(told),
            Some(Event::Stage(_)) | None => {}
        }
    }
    progress.finish(out)?;
    report.ok_or(Failure::Incomplete("report"))
}

impl TestProgress {
    pub(crate) fn start(out: &mut Output) -> Self {
        let spinner = out.spinner();
        spinner.set_message("testing");
        Self { spinner, node: String::new(), others: BTreeMap::new() }
    }

    /// Shows a stage below the name of its node, or keeps it until those of the first node are shown.
    pub(crate) fn stage(&mut self, out: &mut Output, stage: &SmtpTestStage) -> Result<(), Failure> {
        if self.node.is_empty() {
            self.node.clone_from(&stage.node);
            head(out, &stage.node)?;
        }
        if self.node == stage.node {
            return lines(out, stage);
        }
        self.others.entry(stage.node.clone()).or_default().push(stage.clone());
        Ok(())
    }

    /// The test has ended: shows what was kept.
    pub(crate) fn finish(&mut self, out: &mut Output) -> Result<(), Failure> {
        self.stop();
        for (node, stages) in std::mem::take(&mut self.others) {
            head(out, &node)?;
            stages.iter().try_for_each(|stage| lines(out, stage))?;
        }
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.spinner.finish_and_clear();
    }
}

fn head(out: &mut Output, node: &str) -> Result<(), Failure> {
    Ok(out.line(Line::new().push(Tone::Strong, format!("from {node}")))?)
}

fn lines(out: &mut Output, stage: &SmtpTestStage) -> Result<(), Failure> {
    view::smtp_test::stage(stage).into_iter().try_for_each(|line| out.line(line))?;
    Ok(())
}

/// What the test came to, on one line.
pub(crate) fn conclusion(report: &SmtpTestReport) -> Line {
    let nodes = match report.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let nodes = match report.except_nodes.as_slice() {
        [] => nodes,
        some => format!("{nodes}, {} not asked", some.join(", ")),
    };
    if report.passed {
        let what = format!(" from {nodes}; these settings may be saved within ten minutes");
        return Line::new().push(Tone::Good, "passed").plain(what);
    }
    let failed = |stage: &&SmtpTestStage| stage.outcome() == SmtpTestOutcome::Failed;
    let stages = report.nodes.iter().flat_map(|node| &node.stages).filter(failed).count();
    let what = match (report.nodes.len(), stages) {
        (0, _) => ": no node tested them".to_owned(),
        (_, 1) => format!(" from {nodes}: 1 stage failed"),
        (_, count) => format!(" from {nodes}: {count} stages failed"),
    };
    Line::new().push(Tone::Bad, "not passed").plain(what)
}
