//! The page about operators is what the command prints.

use assert_cmd::Command;
use std::path::Path;

#[test]
fn the_page_is_the_table_of_the_command() {
    let output = Command::cargo_bin("modelopt")
        .unwrap()
        .arg("ops")
        .output()
        .unwrap();
    assert!(output.status.success());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/runtime/OPERATORS.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        page == printed,
        "{} is not what `modelopt ops` prints; write it there: modelopt ops > crates/runtime/OPERATORS.md",
        path.display()
    );
}

#[test]
fn types_and_kernel_sets_are_in_json() {
    let output = Command::cargo_bin("modelopt")
        .unwrap()
        .args(["ops", "--json"])
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = value["support"].as_array().unwrap();
    let add = rows.iter().find(|row| row["operator"] == "binary").unwrap();
    let sets = add["own_loops"]["int8"].as_array().unwrap();
    assert!(sets.iter().any(|set| set == "helium"), "{add}");
}
