//! Every operator's file is in the list that names, tests and documents operators.

use super::files::{Finding, SourceFile};
use super::syntax::{self, Token, TokenKind};

const FOLDER: &str = "crates/runtime/src/ops/";
const LIST: &str = "crates/runtime/src/ops/mod.rs";
const LIST_MACRO: &str = "operators";

/// Finds files that declare operators and that the list does not name with each of them.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let list = files.iter().find(|file| file.path == LIST);
    let listed = list
        .map(|list| listed_operators(&syntax::tokens(list)))
        .unwrap_or_default();
    let mut findings = Vec::new();
    for file in files {
        let Some(module) = module_name(&file.path) else {
            continue;
        };
        for (line, operator) in declared_operators(&syntax::tokens(file)) {
            if !listed.contains(&(module.to_owned(), operator.clone())) {
                let message = format!("{LIST} does not list `{operator}` of `{module}`");
                findings.push(file.finding(line, message));
            }
        }
    }
    findings
}

/// The module's name, of a file directly in the folder.
fn module_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?.strip_suffix(".rs")?;
    (name != "mod" && !name.contains('/')).then_some(name)
}

/// Names of the device halves, declared as `static NAME: Op`, with their lines.
fn declared_operators(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut declared = Vec::new();
    for window in tokens.windows(4) {
        if let [keyword, name, colon, kind] = window
            && keyword.is_name("static")
            && colon.is_mark(':')
            && kind.is_name("Op")
            && let TokenKind::Name(operator) = &name.kind
        {
            declared.push((name.line, operator.clone()));
        }
    }
    declared
}

/// Module and operator of every entry `module: Attributes [OPERATOR, …];` in the list's macro.
fn listed_operators(tokens: &[Token]) -> Vec<(String, String)> {
    let mut listed = Vec::new();
    let call = tokens.windows(3).position(|window| match window {
        [name, bang, open] => name.is_name(LIST_MACRO) && bang.is_mark('!') && open.is_mark('{'),
        _ => false,
    });
    let Some(start) = call else {
        return listed;
    };
    let body = tokens[start + 3..].split(|token| token.is_mark(';'));
    for entry in body.take_while(|entry| !entry.first().is_some_and(|token| token.is_mark('}'))) {
        let mut names = entry.iter().filter_map(|token| match &token.kind {
            TokenKind::Name(name) => Some(name.clone()),
            _ => None,
        });
        let (Some(module), Some(_attributes)) = (names.next(), names.next()) else {
            continue;
        };
        listed.extend(names.map(|operator| (module.clone(), operator)));
    }
    listed
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    const OPERATOR: &str = "pub static I8: Op = Op {};\npub static F32: Op = Op {};\n";

    fn check_list(list: &str) -> Vec<Finding> {
        check(&[
            sample(LIST, list),
            sample("crates/runtime/src/ops/add.rs", OPERATOR),
        ])
    }

    #[test]
    fn an_operator_that_is_not_listed_is_found() {
        assert_eq!(check_list("operators! { mul: Mul [I8, F32]; }").len(), 2);
        let findings = check_list("operators! { add: Add [I8]; mul: Mul [F32]; }");
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn an_operator_that_only_a_comment_or_other_code_names_is_found() {
        assert_eq!(check_list("// operators! { add: Add [I8, F32]; }").len(), 2);
        assert_eq!(
            check_list("operators! { } fn a() { add: Add [I8, F32]; }").len(),
            2
        );
    }

    #[test]
    fn an_operator_that_is_listed_is_fine() {
        assert_eq!(
            check_list("operators! { mul: Mul [I8]; add: Add [I8, F32]; }"),
            []
        );
    }

    #[test]
    fn a_file_that_declares_no_operator_needs_no_entry() {
        let helper = sample("crates/runtime/src/ops/window.rs", "pub fn a() {}");
        assert_eq!(check(&[sample(LIST, "mod window;"), helper]), []);
    }
}
