//! What an import changes.

use std::collections::BTreeSet;
use std::io;

use serde_json::{Map, Value};

use crate::command::settings::bundle::{Bundle, Part};
use crate::output::Output;

/// A part that is not as in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartChange {
    pub(super) part: Part,
    /// The fields that differ, of a list with the names of their entries.
    pub(super) fields: Vec<String>,
}

/// The parts that change; `given` are the fields of secrets that are saved anew.
pub(super) fn changes(
    present: &Bundle,
    would_be: &Bundle,
    given: &[String],
    out: &Output,
) -> io::Result<Vec<PartChange>> {
    let mut changes = Vec::new();
    for part in Part::ALL {
        let Some(after) = would_be.value(part, out)? else { continue };
        let before = present.value(part, out)?;
        let mut fields = differences(before.as_ref(), &after);
        let secrets = would_be.secrets().into_iter().filter(|one| one.part == part);
        fields.extend(secrets.map(|one| one.field).filter(|field| given.contains(field)));
        if !fields.is_empty() {
            changes.push(PartChange { part, fields });
        }
    }
    Ok(changes)
}

fn differences(before: Option<&Value>, after: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    match (before, after) {
        (before, Value::Array(after)) => {
            let before = before.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            entries(before, after, &mut fields);
        }
        (None, _) => fields.push("(new)".to_owned()),
        (Some(before), after) => compare("", before, after, &mut fields),
    }
    fields
}

/// Lists of entries that have names. What only the node has stays there.
fn entries(before: &[Value], after: &[Value], fields: &mut Vec<String>) {
    let name_of = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
    for entry in after {
        let name = name_of(entry);
        match before.iter().find(|before| name_of(before) == name) {
            Some(before) => compare(&name, before, entry, fields),
            None => fields.push(format!("{name} (new)")),
        }
    }
}

fn compare(path: &str, before: &Value, after: &Value, fields: &mut Vec<String>) {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        if before != after {
            fields.push(path.to_owned());
        }
        return;
    };
    for name in names(before, after) {
        let path = [path, name].join(if path.is_empty() { "" } else { "." });
        let (before, after) = (before.get(name), after.get(name));
        compare(&path, before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null), fields);
    }
}

fn names<'a>(before: &'a Map<String, Value>, after: &'a Map<String, Value>) -> BTreeSet<&'a str> {
    before.keys().chain(after.keys()).map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
