//! A file can be read in one sitting, and a function fits a screen.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::files::{Finding, SourceFile};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Programs in any language; documents and data may be as long as they are.
const PROGRAM_EXTENSIONS: &[&str] = &["rs", "py", "ts", "js", "mjs", "sh"];

/// Longer on purpose: a file, the function in it or `*` for the file itself, and the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Finds files and functions over the limits, and exceptions that no longer are.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    check_with(files, EXCEPTIONS)
}

fn check_with(files: &[SourceFile], exceptions: &[(&str, &str, &str)]) -> Vec<Finding> {
    let mut unused: Vec<_> = exceptions.to_vec();
    let mut findings = Vec::new();
    for file in files {
        for (subject, finding) in check_file(file) {
            let position = unused
                .iter()
                .position(|(path, name, _)| (*path, *name) == (&file.path, &subject));
            match position {
                Some(index) => drop(unused.swap_remove(index)),
                None => findings.push(finding),
            }
        }
    }
    findings.extend(unused.iter().map(|(path, name, _)| Finding {
        path: (*path).to_owned(),
        line: 0,
        message: format!("the exception for `{name}` is not needed any more; remove it"),
    }));
    findings
}

/// Everything too long in one file, each with the name that an exception would give.
fn check_file(file: &SourceFile) -> Vec<(String, Finding)> {
    let mut found = Vec::new();
    let line_count = file.numbered_lines().count();
    let is_program = PROGRAM_EXTENSIONS
        .iter()
        .any(|extension| file.has_extension(extension));
    if is_program && line_count > FILE_LINES_MAX {
        let message = format!("{line_count} lines, over {FILE_LINES_MAX}; split the file");
        found.push(("*".to_owned(), file.finding(0, message)));
    }
    let Some(text) = file.text.as_deref().filter(|_| file.has_extension("rs")) else {
        return found;
    };
    match syn::parse_file(text) {
        Ok(parsed) => {
            let mut visitor = LongFunctions { file, found };
            visitor.visit_file(&parsed);
            visitor.found
        }
        Err(error) => {
            let message = format!("the file does not parse: {error}");
            found.push((
                "*".to_owned(),
                file.finding(error.span().start().line, message),
            ));
            found
        }
    }
}

struct LongFunctions<'a> {
    file: &'a SourceFile,
    found: Vec<(String, Finding)>,
}

impl LongFunctions<'_> {
    /// Measures from the signature to the closing brace: documentation does not count.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let line_count = block.span().end().line + 1 - first;
        if line_count > FUNCTION_LINES_MAX {
            let name = signature.ident.to_string();
            let message =
                format!("`{name}` has {line_count} lines, over {FUNCTION_LINES_MAX}; split it");
            self.found.push((name, self.file.finding(first, message)));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    /// A function of `line_count` lines in all.
    fn function(line_count: usize) -> String {
        format!(
            "fn long() {{\n{}}}\n",
            "    work();\n".repeat(line_count - 2)
        )
    }

    #[test]
    fn a_function_over_the_limit_is_found_wherever_it_is_defined() {
        assert_eq!(check(&[sample("a.rs", &function(70))]), []);
        for (before, after) in [
            ("", ""),
            ("impl A {", "}"),
            ("trait A {", "}"),
            ("mod a {", "}"),
        ] {
            let text = format!("{before}\n{}{after}\n", function(71));
            let findings = check(&[sample("a.rs", &text)]);
            assert_eq!(findings.len(), 1, "{before}");
            assert_eq!(findings[0].line, 2, "{before}");
        }
    }

    #[test]
    fn documentation_does_not_make_a_function_longer() {
        let text = format!("{}{}", "/// Line.\n".repeat(50), function(70));
        assert_eq!(check(&[sample("a.rs", &text)]), []);
    }

    #[test]
    fn a_file_over_the_limit_is_found_if_it_is_a_program() {
        let text = "\n".repeat(601);
        assert_eq!(check(&[sample("a.py", &text)]).len(), 1);
        assert_eq!(check(&[sample("a.md", &text)]), []);
        assert_eq!(check(&[sample("a.py", &"\n".repeat(600))]), []);
    }

    #[test]
    fn a_file_that_does_not_parse_is_found() {
        assert_eq!(check(&[sample("a.rs", "fn {")]).len(), 1);
    }

    #[test]
    fn an_exception_covers_its_function_and_is_found_when_not_needed() {
        let exceptions = [("a.rs", "long", "a table")];
        assert_eq!(
            check_with(&[sample("a.rs", &function(71))], &exceptions),
            []
        );
        assert_eq!(
            check_with(&[sample("a.rs", &function(70))], &exceptions).len(),
            1
        );
    }
}
