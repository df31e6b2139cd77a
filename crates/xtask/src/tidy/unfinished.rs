//! Nothing is left for later: no macro that panics as unwritten, no note to finish something.

use super::files::{Finding, SourceFile};

/// Words that mark unfinished work, put together here so that this file does not contain them.
const MARKS: &[&str] = &[
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

/// Finds the marks wherever they stand as a word of their own.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (number, line) in file.numbered_lines() {
            if let Some(mark) = MARKS.iter().find(|mark| has_word(line, mark)) {
                findings.push(file.finding(number, format!("`{mark}` marks unfinished work")));
            }
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word.ends_with('!') || !after.is_some_and(is_part))
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::sample;
    use super::*;

    #[test]
    fn each_mark_is_found_in_code_and_in_comments() {
        for mark in MARKS {
            let file = sample("src/a.rs", &format!("fn a() {{}}\n// {mark}(later)\n"));
            let findings = check(&[file]);
            assert_eq!(findings.len(), 1, "{mark}");
            assert_eq!(findings[0].line, 2);
        }
    }

    #[test]
    fn parts_of_longer_words_are_not_marks() {
        let name = format!("const {}S_LEFT: u32 = 0;", MARKS[2]);
        assert_eq!(check(&[sample("src/a.rs", &name)]), []);
    }
}
