//! Nothing in the repository depends on one machine's folders or on one address of a registry.

use super::files::{Finding, SourceFile};

/// Folders that exist on some machines only, in parts so that this file does not contain them.
const FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/t", "mp/"),
    concat!("/ho", "me/"),
];

/// Hosts that serve packages: clients know their own, and a mirror would be another.
const HOSTS: &[&str] = &[
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("static.", "rust-lang.org"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("deb.", "debian.org"),
];

/// Finds absolute paths below one of the folders, and names of the hosts.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in file.numbered_lines() {
            if let Some(folder) = FOLDERS.iter().find(|folder| has_absolute(line, folder)) {
                findings.push(file.finding(number, format!("`{folder}` is a machine's own path")));
            }
            if let Some(host) = HOSTS.iter().find(|host| line.contains(*host)) {
                findings.push(file.finding(number, format!("`{host}` is a registry's host")));
            }
        }
    }
    findings
}

/// Whether the folder stands where a path begins, and not further down in a longer one.
fn has_absolute(line: &str, folder: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "._-/}*~$".contains(c);
    line.match_indices(folder)
        .any(|(start, _)| !line[..start].chars().next_back().is_some_and(is_part))
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    #[test]
    fn each_folder_and_host_is_found() {
        for name in FOLDERS.iter().chain(HOSTS) {
            let file = sample("docs/a.md", &format!("first\nsee \"{name}x\"\n"));
            let findings = check(&[file]);
            assert_eq!(findings.len(), 1, "{name}");
            assert_eq!(findings[0].line, 2);
        }
    }

    #[test]
    fn a_folder_of_that_name_inside_the_repository_is_not_found() {
        let line = format!("cp src{}a out", FOLDERS[0]);
        assert_eq!(check(&[sample("a.sh", &line)]), []);
    }
}
