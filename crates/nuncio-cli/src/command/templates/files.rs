//! Texts in files.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use nuncio_api::v1::TemplateDraft;

use crate::failure::Failure;
use crate::input::{read_text, read_value};

const SUBJECT_FILE: &str = "subject.txt";
const TEXT_FILE: &str = "text.txt";
const HTML_FILE: &str = "html.html";

/// Where texts come from.
#[derive(Args)]
pub(super) struct DraftArgs {
    /// A folder with `subject.txt`, `text.txt` and, if there is one, `html.html`
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["subject", "text_file", "html_file"], help_heading = "Texts")]
    from_folder: Option<PathBuf>,
    /// The subject
    #[arg(long, help_heading = "Texts")]
    subject: Option<String>,
    /// A file with the text; `-` is the standard input
    #[arg(long, value_name = "FILE", help_heading = "Texts")]
    text_file: Option<PathBuf>,
    /// A file with HTML of its own; without it the HTML is made from the text
    #[arg(long, value_name = "FILE", help_heading = "Texts")]
    html_file: Option<PathBuf>,
}

impl DraftArgs {
    /// Reads the texts; none if none are named.
    pub(super) async fn read(&self) -> Result<Option<TemplateDraft>, Failure> {
        if let Some(folder) = &self.from_folder {
            let html = match read_text(&folder.join(HTML_FILE)).await {
                Err(Failure::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    String::new()
                }
                html => html?,
            };
            return Ok(Some(TemplateDraft {
                subject: read_value(&folder.join(SUBJECT_FILE)).await?,
                text: read_text(&folder.join(TEXT_FILE)).await?,
                html,
            }));
        }
        let Self { from_folder: _, subject, text_file, html_file } = self;
        if subject.is_none() && text_file.is_none() && html_file.is_none() {
            return Ok(None);
        }
        let read = async |path: &Option<PathBuf>| match path {
            Some(path) => read_text(path).await,
            None => Ok(String::new()),
        };
        Ok(Some(TemplateDraft {
            subject: subject.clone().unwrap_or_default(),
            text: read(text_file).await?,
            html: read(html_file).await?,
        }))
    }
}

/// Writes texts into a folder; HTML only if there is some.
pub(super) async fn write_folder(
    folder: &Path,
    subject: &str,
    text: &str,
    html: &str,
) -> Result<(), Failure> {
    tokio::fs::create_dir_all(folder).await?;
    tokio::fs::write(folder.join(SUBJECT_FILE), format!("{subject}\n")).await?;
    tokio::fs::write(folder.join(TEXT_FILE), text).await?;
    if !html.is_empty() {
        tokio::fs::write(folder.join(HTML_FILE), html).await?;
    }
    Ok(())
}
