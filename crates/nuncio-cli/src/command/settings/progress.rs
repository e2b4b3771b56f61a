//! Shows a test of SMTP settings while it runs.

use indicatif::ProgressBar;
use nuncio_api::v1::test_smtp_settings_response::Event;
use nuncio_api::v1::{SmtpTestOutcome, SmtpTestReport, SmtpTestStage, TestSmtpSettingsResponse};

use crate::failure::Failure;
use crate::globals::Format;
use crate::output::{Line, Output, Tone};
use crate::view;

/// Shows the stages of a test as they end.
pub(crate) struct TestProgress {
    spinner: ProgressBar,
    /// The node whose stages are being shown.
    node: String,
    report: Option<SmtpTestReport>,
}

impl TestProgress {
    pub(crate) fn start(out: &mut Output) -> Self {
        let spinner = out.spinner();
        spinner.set_message("testing");
        Self { spinner, node: String::new(), report: None }
    }

    /// Shows what the PAN tells.
    pub(crate) fn event(
        &mut self,
        out: &mut Output,
        told: &TestSmtpSettingsResponse,
    ) -> Result<(), Failure> {
        if out.format() == Format::Json {
            out.message_line(told)?;
        }
        match &told.event {
            Some(Event::Stage(stage)) if out.format() == Format::Table => self.stage(out, stage)?,
            Some(Event::Report(report)) => self.report = Some(report.clone()),
            Some(Event::Stage(_)) | None => {}
        }
        Ok(())
    }

    /// Shows a stage, below the name of its node.
    pub(crate) fn stage(&mut self, out: &mut Output, stage: &SmtpTestStage) -> Result<(), Failure> {
        if self.node != stage.node {
            self.node.clone_from(&stage.node);
            out.line(Line::new().push(Tone::Strong, format!("from {}", stage.node)))?;
        }
        view::smtp_test::stage(stage).into_iter().try_for_each(|line| out.line(line))?;
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.spinner.finish_and_clear();
    }

    pub(crate) fn into_report(self) -> Option<SmtpTestReport> {
        self.report
    }
}

/// What the test came to, on one line.
pub(crate) fn conclusion(report: &SmtpTestReport) -> Line {
    let nodes = match report.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
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
