//! Unsafe code stays in the crate of the kernels, and every block is proved.

use super::files::{Finding, SourceFile};
use super::syntax::{self, Token};

/// Where unsafe code may be, with the reason.
const ALLOWED: &[(&str, &str)] = &[
    ("crates/kernels/", "vector instructions and inline assembly"),
    (
        "firmware/",
        "start-up code, peripheral registers and semihosting calls",
    ),
    (
        "wasm/src/exports.rs",
        "attributes that give exported functions their names",
    ),
];

/// Finds the keyword outside the allowed folders, and blocks and implementations without proof.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let lines: Vec<&str> = file.numbered_lines().map(|(_, line)| line).collect();
        let is_allowed = ALLOWED
            .iter()
            .any(|(folder, _)| file.path.starts_with(folder));
        let tokens = syntax::tokens(file);
        for pair in tokens.windows(2) {
            let [keyword, next] = pair else { continue };
            if !keyword.is_name("unsafe") {
                continue;
            }
            if !is_allowed {
                let message = "unsafe code belongs in crates/kernels, behind a safe function";
                findings.push(file.finding(keyword.line, message));
            } else if needs_proof(next) && !has_proof(&lines, keyword.line) {
                let message = "no `// SAFETY:` comment above says why this holds";
                findings.push(file.finding(keyword.line, message));
            }
        }
    }
    findings
}

/// A block and an implementation claim something; a function's or trait's declaration asks for it.
fn needs_proof(next: &Token) -> bool {
    next.is_mark('{') || next.is_name("impl")
}

/// Whether the statement that reaches this line begins below a comment with the proof.
fn has_proof(lines: &[&str], line: usize) -> bool {
    let above = lines.iter().take(line).rev().map(|line| line.trim());
    for (distance, text) in above.enumerate() {
        if text.contains("SAFETY:") {
            return true;
        }
        let is_comment = text.starts_with("//") || text.starts_with("#[");
        let ends_statement = text.is_empty() || text.ends_with([';', '{', '}']);
        if distance > 0 && ends_statement && !is_comment {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    const PROOF: &str = "// SAFETY: the index is in range.\n";

    #[test]
    fn unsafe_code_outside_the_kernels_is_found_even_inside_a_macro() {
        let proved = format!("fn a() {{\n    {PROOF}    unsafe {{ b() }}\n}}\n");
        assert_eq!(
            check(&[sample("crates/runtime/src/a.rs", &proved)]).len(),
            1
        );
        assert_eq!(check(&[sample("crates/kernels/src/a.rs", &proved)]), []);
        let in_macro = "call!(unsafe { b() });";
        assert_eq!(
            check(&[sample("crates/runtime/src/a.rs", in_macro)]).len(),
            1
        );
    }

    #[test]
    fn a_block_or_an_implementation_without_proof_is_found() {
        for text in [
            "fn a() {\n    unsafe { b() }\n}",
            "fn a() {\n    // SAFETY: of another.\n    b();\n    unsafe { c() }\n}",
            "unsafe impl Send for A {}",
        ] {
            assert_eq!(
                check(&[sample("crates/kernels/src/a.rs", text)]).len(),
                1,
                "{text}"
            );
        }
    }

    #[test]
    fn a_proof_above_the_statement_or_above_attributes_counts() {
        for text in [
            format!("fn a() {{\n    {PROOF}    let x =\n        unsafe {{ b() }};\n}}"),
            format!("fn a() {{\n    {PROOF}    #[cfg(unix)]\n    unsafe {{ b() }}\n}}"),
            format!("{PROOF}unsafe impl Send for A {{}}"),
        ] {
            assert_eq!(
                check(&[sample("crates/kernels/src/a.rs", &text)]),
                [],
                "{text}"
            );
        }
    }

    #[test]
    fn the_word_in_comments_and_literals_is_not_code() {
        let text = "// unsafe { }\nconst A: &str = \"unsafe { }\";";
        assert_eq!(check(&[sample("crates/runtime/src/a.rs", text)]), []);
    }
}
