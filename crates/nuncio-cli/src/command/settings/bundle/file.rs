//! A file of settings as text: TOML.

use std::io;
use std::path::Path;

use prost::Name;
use serde_json::Value;

use crate::command::settings::bundle::{Bundle, FORMAT, Part, VERSION, document, is_secret};
use crate::failure::Failure;
use crate::output::Output;

/// The list of what must be entered again. It is for people: an import does not read it.
pub(super) const SECRETS_KEY: &str = "secrets-to-enter-again";
const HEAD: &str = "\
# Settings of nuncio, without any secret: take them in with `nuncio settings import FILE`.
# A part that is left out stays as it is.
";

/// Something in a file that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The part of the file and the field, as the API names it.
    pub(crate) field: String,
    pub(crate) problem: String,
}

impl Finding {
    pub(in crate::command::settings) fn new(
        part: Part,
        field: &str,
        problem: impl Into<String>,
    ) -> Self {
        let field = [part.name(), field].join(if field.is_empty() { "" } else { ": " });
        Self { field, problem: problem.into() }
    }
}

pub(in crate::command::settings) fn write(bundle: &Bundle, out: &Output) -> io::Result<String> {
    let document = Value::Object(document(bundle, out)?);
    let table = toml::Table::try_from(document).map_err(io::Error::other)?;
    let text = toml::to_string_pretty(&table).map_err(io::Error::other)?;
    Ok(format!("{HEAD}{text}"))
}

/// Reads a file, or tells everything that is wrong with it.
pub(in crate::command::settings) fn read(
    path: &Path,
    text: &str,
    out: &Output,
) -> Result<Bundle, Failure> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let problem = format!("file `{}` is no TOML: {}", path.display(), error.message());
        Failure::input(problem, "give a file that `nuncio settings export` wrote")
    })?;
    let Ok(Value::Object(all)) = serde_json::to_value(table) else {
        return Err(Failure::input("the file has a value that no setting has", "remove dates"));
    };
    check_version(all.get("format"), all.get("version"))?;
    let mut reader = Reader { out, findings: Vec::new() };
    let mut bundle = Bundle::default();
    for (key, value) in all {
        match Part::from_name(&key) {
            Some(part) => reader.read_part(&mut bundle, part, &value),
            None if ["format", "version", SECRETS_KEY].contains(&key.as_str()) => {}
            None => {
                let known: Vec<_> = Part::ALL.into_iter().map(Part::name).collect();
                let problem =
                    format!("is no part of a file of settings; there are: {}", known.join(", "));
                reader.findings.push(Finding { field: key, problem });
            }
        }
    }
    if reader.findings.is_empty() { Ok(bundle) } else { Err(Failure::Findings(reader.findings)) }
}

fn check_version(format: Option<&Value>, version: Option<&Value>) -> Result<(), Failure> {
    let remedy = "give a file that `nuncio settings export` wrote";
    if format.and_then(Value::as_str) != Some(FORMAT) {
        return Err(Failure::input(
            format!("the file does not say `format = \"{FORMAT}\"`"),
            remedy,
        ));
    }
    match version.and_then(Value::as_i64) {
        Some(found) if (1..=VERSION).contains(&found) => Ok(()),
        Some(found) if VERSION < found => {
            let problem = format!(
                "the file has version {found} of its format, and this nuncio knows version {VERSION}"
            );
            Err(Failure::input(problem, "import it with the nuncio that wrote it, or a newer one"))
        }
        Some(_) | None => Err(Failure::input("the file has no version of its format", remedy)),
    }
}

struct Reader<'a> {
    out: &'a Output,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn read_part(&mut self, bundle: &mut Bundle, part: Part, value: &Value) {
        self.find_secrets(part, "", value);
        match part {
            Part::TrustStore => bundle.trust_store = self.one(part, "", value),
            Part::Smtp => bundle.smtp = self.one(part, "", value),
            Part::GuestMail => bundle.guest_mail = self.one(part, "", value),
            Part::Alarms => bundle.alarms = self.one(part, "", value),
            Part::AlarmTypes => bundle.alarm_types = self.many(part, value),
            Part::AlarmRoutes => bundle.alarm_routes = self.many(part, value),
            Part::Templates => bundle.templates = self.many(part, value),
            Part::Reminders => bundle.reminders = self.one(part, "", value),
        }
    }

    fn one<M: Name + Default>(&mut self, part: Part, field: &str, value: &Value) -> Option<M> {
        let read = self.out.parse::<M>(&value.to_string());
        // Of JSON only the reader knows, the place is no help.
        let said = |problem: String| {
            let problem = problem.trim_start_matches("the JSON cannot be read: ");
            problem.split(" at line ").next().unwrap_or(problem).to_owned()
        };
        read.map_err(|problem| self.findings.push(Finding::new(part, field, said(problem)))).ok()
    }

    fn many<M: Name + Default>(&mut self, part: Part, value: &Value) -> Option<Vec<M>> {
        let Some(values) = value.as_array() else {
            let problem = format!("is a list; write `[[{}]]`", part.name());
            self.findings.push(Finding::new(part, "", problem));
            return None;
        };
        let mut all = Vec::with_capacity(values.len());
        let mut names = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
            let field = if name.is_empty() { format!("[{index}]") } else { name.to_owned() };
            if name.is_empty() || names.contains(&name) {
                let problem = "must have a name of its own";
                self.findings.push(Finding::new(part, &field, problem));
            }
            names.push(name);
            all.extend(self.one(part, &field, value));
        }
        Some(all)
    }

    /// A secret in a file is refused: such files are copied and kept where secrets do not belong.
    fn find_secrets(&mut self, part: Part, path: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = [path, name].join(if path.is_empty() { "" } else { "." });
                    // The other spelling of the API's JSON.
                    let name = if name == "clientSecret" { "client_secret" } else { name };
                    let name = if name == "privateKeyPem" { "private_key_pem" } else { name };
                    if is_secret(name, value) && value.as_str() != Some("") {
                        let problem = "is a secret, which belongs in no file of settings; \
                                       remove it, and give it by an option of the import";
                        self.findings.push(Finding::new(part, &path, problem));
                    }
                    self.find_secrets(part, &path, value);
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    self.find_secrets(part, &format!("{path}[{index}]"), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
