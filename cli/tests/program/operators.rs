//! The page about operators is what the command prints.

use crate::{json, repository, run};
use std::path::Path;

#[test]
fn the_page_is_the_table_of_the_command() {
    let (code, printed, errors) = run(Path::new("."), &["ops"]);
    assert_eq!(code, 0, "{errors}");
    let path = repository("crates/runtime/OPERATORS.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == printed,
        "{} is not what `modelopt ops` prints; write it there: modelopt ops > crates/runtime/OPERATORS.md",
        path.display()
    );
}

#[test]
fn types_and_kernel_sets_are_in_json() {
    let value = json(Path::new("."), &["ops"]);
    let rows = value["support"].as_array().unwrap();
    let add = rows.iter().find(|row| row["operator"] == "binary").unwrap();
    let sets = add["own_loops"]["int8"].as_array().unwrap();
    assert!(sets.iter().any(|set| set == "helium"), "{add}");
}
