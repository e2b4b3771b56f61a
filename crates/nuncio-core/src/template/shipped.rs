//! The texts that come with nuncio, one file for each language.
//!
//! A file has sections that begin with `=== name`: the first line is the subject, and behind a blank line is the text.
//! Sections `=== fragment name` are parts that several texts share; a line `[[name]]` stands for them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::template::custom::Texts;

/// The languages of the shipped texts; the first is the one for all others.
pub const LANGUAGES: [&str; 6] = ["en", "de", "fr", "es", "ja", "ar"];

const FILES: [&str; LANGUAGES.len()] = [
    include_str!("texts/en.txt"),
    include_str!("texts/de.txt"),
    include_str!("texts/fr.txt"),
    include_str!("texts/es.txt"),
    include_str!("texts/ja.txt"),
    include_str!("texts/ar.txt"),
];

/// By language and id of a template. It is made of constants, so it is a constant too.
static ALL: LazyLock<BTreeMap<(&'static str, &'static str), Texts>> = LazyLock::new(|| {
    let files = LANGUAGES.into_iter().zip(FILES);
    files
        .flat_map(|(language, file)| read(file).map(move |(id, texts)| ((language, id), texts)))
        .collect()
});

/// The texts of a template in a language.
pub(crate) fn texts(id: &str, language: &str) -> Option<&'static Texts> {
    let language = LANGUAGES.into_iter().find(|one| one.eq_ignore_ascii_case(language))?;
    ALL.iter().find(|((of, name), _)| (*of, *name) == (language, id)).map(|(_, texts)| texts)
}

fn read(file: &'static str) -> impl Iterator<Item = (&'static str, Texts)> {
    let sections = file.split("\n=== ").skip(1);
    let sections: Vec<(&str, &str)> =
        sections.filter_map(|section| section.split_once('\n')).collect();
    let fragments: BTreeMap<&str, &str> = sections
        .iter()
        .filter_map(|(name, content)| Some((name.strip_prefix("fragment ")?, content.trim())))
        .collect();
    let is_text = |(name, _): &(&str, &str)| !name.starts_with("fragment ");
    let texts = sections.into_iter().filter(is_text).map(move |(name, content)| {
        let (subject, text) = content.split_once('\n').unwrap_or((content, ""));
        let line = |line: &'static str| {
            let fragment = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]"));
            fragment.and_then(|name| fragments.get(name)).copied().unwrap_or(line)
        };
        let lines: Vec<&str> = text.trim().lines().map(line).collect();
        let text = format!("{}\n", lines.join("\n"));
        (name.trim(), Texts { subject: subject.trim().to_owned(), text, html: String::new() })
    });
    texts.collect::<Vec<_>>().into_iter()
}
