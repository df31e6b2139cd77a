//! Every Rust file is part of a program: a file that no module names is compiled by nobody.

use std::collections::HashSet;

use super::files::{Finding, SourceFile};
use super::syntax::{self, Token, TokenKind};

/// Finds Rust files that are neither a crate's root nor named by `mod` or by a path in a literal.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let manifests: HashSet<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_suffix("Cargo.toml"))
        .collect();
    let named: HashSet<String> = files.iter().flat_map(named_files).collect();
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        if !is_crate_root(&file.path, &manifests) && !named.contains(&file.path) {
            findings.push(file.finding(0, "no module names this file; name it or delete it"));
        }
    }
    findings
}

/// Whether Cargo finds the file by itself: the program, library, tests, benches, examples.
fn is_crate_root(path: &str, manifests: &HashSet<&str>) -> bool {
    let mut roots = manifests
        .iter()
        .filter_map(|folder| path.strip_prefix(folder));
    roots.any(|rest| {
        let parts: Vec<&str> = rest.split('/').collect();
        matches!(
            parts.as_slice(),
            ["build.rs"]
                | ["src", "lib.rs" | "main.rs"]
                | ["src", "bin", _]
                | ["src", "bin", _, "main.rs"]
                | ["tests" | "benches" | "examples", _]
                | ["tests" | "benches" | "examples", _, "main.rs"]
                | ["fuzz_targets", _]
        )
    })
}

/// The files that a Rust file may mean by its `mod name;` and by string literals that end in
/// `.rs`, as in `#[path = "…"]` and `include!("…")`.
fn named_files(file: &SourceFile) -> Vec<String> {
    let tokens = syntax::tokens(file);
    let (folder, file_name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = file_name.trim_end_matches(".rs");
    let mut named = Vec::new();
    for name in named_modules(&tokens) {
        for parent in [folder.to_owned(), format!("{folder}/{stem}")] {
            named.push(format!("{parent}/{name}.rs"));
            named.push(format!("{parent}/{name}/mod.rs"));
        }
    }
    for token in &tokens {
        if let TokenKind::Text(text) = &token.kind
            && text.ends_with(".rs")
        {
            named.push(format!("{folder}/{}", text.trim_start_matches(['.', '/'])));
        }
    }
    named
}

/// The names after `mod`. Where a macro declares modules by `mod $name;`, any name in the file
/// may be an argument of it.
fn named_modules(tokens: &[Token]) -> Vec<&str> {
    let declares_by_macro = tokens.windows(2).any(|pair| match pair {
        [keyword, next] => keyword.is_name("mod") && next.is_mark('$'),
        _ => false,
    });
    let mut named = Vec::new();
    for window in tokens.windows(3) {
        if let [before, token, after] = window
            && let TokenKind::Name(name) = &token.kind
            && (declares_by_macro || (before.is_name("mod") && after.is_mark(';')))
        {
            named.push(name.as_str());
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    fn check_with_root(root: &str, path: &str) -> Vec<Finding> {
        check(&[
            sample("crates/a/Cargo.toml", ""),
            sample("crates/a/src/lib.rs", root),
            sample(path, ""),
        ])
    }

    #[test]
    fn a_file_that_no_module_names_is_found() {
        let findings = check_with_root("mod other;\n// mod b;\nmod b {}\n", "crates/a/src/b.rs");
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/a/src/b.rs");
    }

    #[test]
    fn files_named_by_a_module_a_macro_or_a_path_are_alive() {
        for (root, path) in [
            ("pub mod b;", "crates/a/src/b.rs"),
            ("mod b;", "crates/a/src/b/mod.rs"),
            ("list! { mod b; }", "crates/a/src/b.rs"),
            (
                "list! { b: B; } macro_rules! list { ($b:ident) => { mod $b; } }",
                "crates/a/src/b.rs",
            ),
            ("#[path = \"c/d.rs\"] mod b;", "crates/a/src/c/d.rs"),
            ("include!(\"b.rs\");", "crates/a/src/b.rs"),
        ] {
            assert_eq!(check_with_root(root, path), [], "{root}");
        }
    }

    #[test]
    fn a_module_inside_another_is_looked_for_in_its_folder() {
        let files = [
            sample("a/Cargo.toml", ""),
            sample("a/src/lib.rs", "mod b;"),
            sample("a/src/b.rs", "mod c;"),
            sample("a/src/b/c.rs", ""),
        ];
        assert_eq!(check(&files), []);
    }

    #[test]
    fn what_cargo_finds_by_itself_is_alive() {
        for path in [
            "build.rs",
            "src/main.rs",
            "src/bin/x.rs",
            "tests/x.rs",
            "benches/x.rs",
        ] {
            assert_eq!(
                check_with_root("", &format!("crates/a/{path}")),
                [],
                "{path}"
            );
        }
    }
}
