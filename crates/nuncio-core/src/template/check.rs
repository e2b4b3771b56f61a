//! Checks the texts that somebody wrote before they are saved: all that is wrong, with line and column.

use std::collections::BTreeSet;

use icu_locale_core::Locale;
use minijinja::Value;
use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};

use crate::mail::SUBJECT_CHARS_MAX;
use crate::template::catalogue::Template;
use crate::template::custom::Texts;
use crate::template::engine::{self, FILTERS, Target};
use crate::template::locale::format_locale;
use crate::template::variable::{Given, VariableKind, is_mark};
use crate::violation::Violations;

/// The longest text, in bytes: 32 KiB.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// The longest HTML, in bytes: 64 KiB.
pub const HTML_BYTES_MAX: usize = 64 * 1024;
/// How long the lines of the longest multi-line value are, in characters.
const LONG_LINE_CHARS: usize = 64;

/// Tells all that is wrong with texts of a template in a language. Fields begin with `field`.
pub fn check(template: &Template, locale: &Locale, texts: &Texts, field: &str) -> Violations {
    let mut violations = Violations::default();
    let parts = [
        ("subject", &texts.subject, Target::Marked),
        ("text", &texts.text, Target::Marked),
        ("html", &texts.html, Target::Html),
    ];
    for (part, source, target) in parts {
        let field = format!("{field}.{part}");
        if source.is_empty() {
            if part != "html" {
                violations.add(field, "is empty; a mail needs it");
            }
            continue;
        }
        if let Err(problem) = check_size(part, source) {
            violations.add(field, problem);
            continue;
        }
        let found = Walk::over(template, source);
        let missing = template.required.iter().filter(|name| !found.shown.contains(**name));
        let missing = missing.filter(|_| part != "subject" && !found.is_unread);
        let missing: Vec<_> = missing.collect();
        let is_sound = found.problems.is_empty();
        for problem in found.problems {
            violations.add(&field, problem);
        }
        for name in missing {
            violations.add(&field, format!("does not show `{name}`, which this template requires"));
        }
        if is_sound {
            try_out(&mut violations, template, locale, source, target, &field);
        }
    }
    violations
}

fn check_size(part: &str, source: &str) -> Result<(), String> {
    let is_subject = part == "subject";
    if is_subject && SUBJECT_CHARS_MAX < source.chars().count() {
        return Err(format!("is longer than {SUBJECT_CHARS_MAX} characters"));
    }
    let bytes_max = if part == "html" { HTML_BYTES_MAX } else { TEXT_BYTES_MAX };
    if bytes_max < source.len() {
        return Err(format!("has {} bytes; at most {bytes_max}", source.len()));
    }
    let allowed = |c: char| !is_subject && "\n\r\t".contains(c);
    match source.char_indices().find(|(_, c)| (c.is_control() && !allowed(*c)) || is_mark(*c)) {
        None => Ok(()),
        Some((_, '\n' | '\r')) => Err("has a line break; a subject is one line".to_owned()),
        Some((at, c)) => {
            Err(format!("{}: has the character U+{:04X}", Place::of(source, at), u32::from(c)))
        }
    }
}

/// Fills a text that reads well: with the samples, and with the longest values there can be.
fn try_out(
    violations: &mut Violations,
    template: &Template,
    locale: &Locale,
    source: &str,
    target: Target,
    field: &str,
) {
    let locale = format_locale(locale, &locale.id.to_string());
    let values = |long: bool| {
        Value::from_pairs(template.variables().map(|one| {
            let given = if long { longest(one.kind) } else { one.kind.read(one.sample).ok() };
            (one.name, engine::value(one.kind, given, &locale))
        }))
    };
    if let Err(error) = engine::render(source, target, &values(false), &locale) {
        violations.add(field, error);
    } else if let Err(error) = engine::render(source, target, &values(true), &locale) {
        violations.add(field, format!("with the longest values it {error}"));
    }
}

fn longest(kind: VariableKind) -> Option<Given> {
    match kind {
        VariableKind::Text | VariableKind::Credential => {
            Some(Given::Text("W".repeat(kind.chars_max())))
        }
        VariableKind::Url => {
            Some(Given::Text(format!("https://{}", "w".repeat(kind.chars_max() - 8))))
        }
        VariableKind::Lines => {
            let line = "W".repeat(LONG_LINE_CHARS - 1) + "\n";
            Some(Given::Text(line.repeat(kind.chars_max() / LONG_LINE_CHARS)))
        }
        VariableKind::Number => Some(Given::Number(i64::MAX)),
        VariableKind::DateTime => kind.read("2026-12-31T23:59:00+01:00[Europe/Berlin]").ok(),
        VariableKind::Duration => kind.read("PT1000000H").ok(),
    }
}

/// What a text uses, and what of it may not be used.
struct Walk<'a> {
    template: &'a Template,
    source: &'a str,
    /// The variables of the loops around.
    scopes: Vec<&'a str>,
    shown: BTreeSet<&'a str>,
    /// By place, so that they are told in the order of the text.
    problems: Vec<String>,
    /// Whether the syntax is broken, so that nothing is known about the text.
    is_unread: bool,
}

impl<'a> Walk<'a> {
    fn over(template: &'a Template, source: &'a str) -> Self {
        let mut walk = Self {
            template,
            source,
            scopes: Vec::new(),
            shown: BTreeSet::new(),
            problems: Vec::new(),
            is_unread: false,
        };
        match parse(source, "", engine::syntax()) {
            Ok(read) => walk.statement(&read),
            Err(error) => {
                walk.is_unread = true;
                let at = error.range().map(|range| Place::of(source, range.start));
                let at = at.or_else(|| error.line().map(|line| Place { line, column: 1 }));
                let detail = error.detail().unwrap_or("is no template");
                walk.problems.push(match at {
                    Some(place) => format!("{place}: {detail}"),
                    None => detail.to_owned(),
                });
            }
        }
        walk
    }

    fn refuse(&mut self, span: Span, problem: impl std::fmt::Display) {
        let at = usize::try_from(span.start_offset).unwrap_or(usize::MAX);
        self.problems.push(format!("{}: {problem}", Place::of(self.source, at)));
    }

    fn statements(&mut self, statements: &[Stmt<'a>]) {
        for one in statements {
            self.statement(one);
        }
    }

    fn statement(&mut self, statement: &Stmt<'a>) {
        let unavailable =
            |name: &str| format!("`{name}` cannot be used in a template; there are `if` and `for`");
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => self.expression(&emit.expr, true),
            Stmt::IfCond(condition) => {
                self.expression(&condition.expr, false);
                self.statements(&condition.true_body);
                self.statements(&condition.false_body);
            }
            Stmt::ForLoop(each) => {
                self.expression(&each.iter, true);
                if each.recursive {
                    self.refuse(each.span(), "a loop cannot be recursive");
                }
                let name = if let Expr::Var(name) = &each.target { name.id } else { "" };
                if name.is_empty() {
                    self.refuse(each.target.span(), "a loop has one variable");
                }
                self.scopes.push(name);
                each.filter_expr.iter().for_each(|filter| self.expression(filter, false));
                self.statements(&each.body);
                self.scopes.pop();
                self.statements(&each.else_body);
            }
            Stmt::WithBlock(one) => self.refuse(one.span(), unavailable("with")),
            Stmt::Set(one) => self.refuse(one.span(), unavailable("set")),
            Stmt::SetBlock(one) => self.refuse(one.span(), unavailable("set")),
            Stmt::AutoEscape(one) => self.refuse(one.span(), unavailable("autoescape")),
            Stmt::FilterBlock(one) => self.refuse(one.span(), unavailable("filter")),
            Stmt::Do(one) => self.refuse(one.span(), unavailable("do")),
        }
    }

    /// `is_shown`: whether what it gives becomes part of the mail.
    fn expression(&mut self, expression: &Expr<'a>, is_shown: bool) {
        match expression {
            Expr::Const(_) => {}
            Expr::Var(variable) => self.variable(variable.id, variable.span(), is_shown),
            Expr::UnaryOp(one) => self.expression(&one.expr, false),
            Expr::BinOp(both) => {
                if let Some(name) = arithmetic(both.op) {
                    let problem = format!("`{name}` cannot be used in a template");
                    self.refuse(both.span(), problem);
                }
                // Of `a or b` one is shown.
                let is_shown = is_shown && matches!(both.op, BinOpKind::ScOr | BinOpKind::ScAnd);
                self.expression(&both.left, is_shown);
                self.expression(&both.right, is_shown);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr, false);
                compare.ops.iter().for_each(|op| self.expression(&op.expr, false));
            }
            Expr::IfExpr(choice) => {
                self.expression(&choice.test_expr, false);
                self.expression(&choice.true_expr, is_shown);
                choice.false_expr.iter().for_each(|other| self.expression(other, is_shown));
            }
            Expr::Filter(filter) => {
                let arguments = usize::from(filter.name == "default");
                if !FILTERS.contains(&filter.name) {
                    let problem = format!(
                        "there is no filter `{}`; there are: {}",
                        filter.name,
                        FILTERS.join(", ")
                    );
                    self.refuse(filter.span(), problem);
                } else if filter.args.len() != arguments {
                    let problem = format!("the filter `{}` takes {arguments} values", filter.name);
                    self.refuse(filter.span(), problem);
                }
                filter.expr.iter().for_each(|expr| self.expression(expr, is_shown));
                for argument in &filter.args {
                    match argument {
                        CallArg::Pos(value) => self.expression(value, is_shown),
                        CallArg::Kwarg(_, value)
                        | CallArg::PosSplat(value)
                        | CallArg::KwargSplat(value) => {
                            self.refuse(value.span(), "give a filter's value without a name");
                        }
                    }
                }
            }
            Expr::Test(_)
            | Expr::GetAttr(_)
            | Expr::GetItem(_)
            | Expr::Slice(_)
            | Expr::Call(_)
            | Expr::List(_)
            | Expr::Tuple(_)
            | Expr::Map(_) => {
                let what = expression.description();
                let problem = format!("a {what} of this kind cannot be used in a template");
                self.refuse(expression.span(), problem);
            }
        }
    }

    fn variable(&mut self, name: &'a str, span: Span, is_shown: bool) {
        if self.scopes.contains(&name) {
            return;
        }
        if self.template.variable(name).is_some() {
            if is_shown {
                self.shown.insert(name);
            }
            return;
        }
        let known: Vec<_> = self.template.variables().map(|one| one.name).collect();
        let problem = format!("there is no variable `{name}`; there are: {}", known.join(", "));
        self.refuse(span, problem);
    }
}

/// The operators that make new values, so that a text could grow.
fn arithmetic(operator: BinOpKind) -> Option<&'static str> {
    match operator {
        BinOpKind::Eq
        | BinOpKind::Ne
        | BinOpKind::Lt
        | BinOpKind::Lte
        | BinOpKind::Gt
        | BinOpKind::Gte
        | BinOpKind::ScAnd
        | BinOpKind::ScOr
        | BinOpKind::In => None,
        BinOpKind::Add => Some("+"),
        BinOpKind::Sub => Some("-"),
        BinOpKind::Mul => Some("*"),
        BinOpKind::Div => Some("/"),
        BinOpKind::FloorDiv => Some("//"),
        BinOpKind::Rem => Some("%"),
        BinOpKind::Pow => Some("**"),
        BinOpKind::Concat => Some("~"),
    }
}

/// A place in a text, as editors count: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn of(source: &str, offset: usize) -> Self {
        let before = source.get(..offset).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
