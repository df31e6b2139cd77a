//! Relative links and pictures of Markdown files lead somewhere.

use std::collections::HashSet;
use std::path::{Component, Path};

use pulldown_cmark::{Event, Parser, Tag};

use super::files::{Finding, SourceFile};

/// Finds relative links whose file or folder is not in the repository.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let known = files_and_folders(files);
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("md")) {
        let text = file.text.as_deref().unwrap_or_default();
        for (event, range) in Parser::new(text).into_offset_iter() {
            let (Event::Start(Tag::Link { dest_url, .. })
            | Event::Start(Tag::Image { dest_url, .. })) = event
            else {
                continue;
            };
            if leads_nowhere(&file.path, &dest_url, &known) {
                let line = text[..range.start].matches('\n').count() + 1;
                findings.push(file.finding(line, format!("the link `{dest_url}` leads nowhere")));
            }
        }
    }
    findings
}

/// The path of every file, and of every folder above one.
fn files_and_folders(files: &[SourceFile]) -> HashSet<String> {
    let paths = files
        .iter()
        .flat_map(|file| Path::new(&file.path).ancestors());
    paths
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

fn leads_nowhere(from: &str, link: &str, known: &HashSet<String>) -> bool {
    let target = link.split('#').next().unwrap_or_default();
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return false;
    }
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    resolve(&folder.join(target)).is_none_or(|path| !known.contains(&path))
}

/// Removes `.` and `..` from a path; none if it leads out of the repository.
fn resolve(path: &Path) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    fn check_link(link: &str) -> Vec<Finding> {
        let document = sample("docs/a.md", &format!("# A\n\nSee [it]({link}).\n"));
        check(&[document, sample("docs/b.md", ""), sample("src/lib.rs", "")])
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found_with_its_line() {
        for link in ["c.md", "../lib.rs", "../../b.md", "/docs/b.md"] {
            let findings = check_link(link);
            assert_eq!(findings.len(), 1, "{link}");
            assert_eq!(findings[0].line, 3, "{link}");
        }
    }

    #[test]
    fn files_folders_fragments_and_other_sites_are_fine() {
        for link in [
            "b.md",
            "./b.md#part",
            "../src/lib.rs",
            "../src",
            "#a",
            "https://example.org",
        ] {
            assert_eq!(check_link(link), [], "{link}");
        }
    }

    #[test]
    fn a_picture_that_is_missing_is_found() {
        assert_eq!(check(&[sample("a.md", "![picture](a.png)")]).len(), 1);
    }

    #[test]
    fn code_is_not_searched_for_links() {
        assert_eq!(
            check(&[sample("a.md", "`[i](j)` and\n\n    a[i](j)\n")]),
            []
        );
    }
}
