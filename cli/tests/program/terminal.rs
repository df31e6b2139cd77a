//! Tables fit the terminal that they are printed on; pipes get them as they are.

use crate::repository;
use std::process::Command;

/// What a command prints on a terminal of so many columns; `None` where there is no program for that.
fn on_terminal(columns: usize, command: &str) -> Option<String> {
    let program = assert_cmd::cargo::cargo_bin!("modelopt");
    let digits = repository("demo/digits").canonicalize().unwrap();
    let command = format!("stty cols {columns}; '{}' {command}", program.display());
    let mut script = Command::new("script");
    let run = script.args(["-q", "-e", "-c", &command, "/dev/null"]);
    let Ok(output) = run.current_dir(digits).output() else {
        println!("skipped: `script` is missing");
        return None;
    };
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    Some(printed.replace('\r', ""))
}

fn widest(text: &str) -> usize {
    let widths = text.lines().map(|line| line.chars().count());
    widths.max().unwrap_or(0)
}

#[test]
fn tables_fit_narrow_terminals() {
    let commands = [
        ("ops", 120),
        ("optimize digits.onnx -o /dev/null", 50),
        ("inspect digits.onnx", 76),
        ("devices", 60),
    ];
    for (command, columns) in commands {
        let Some(narrow) = on_terminal(columns, command) else {
            return;
        };
        let wide = on_terminal(400, command).unwrap();
        assert!(widest(&wide) > columns, "{wide}");
        assert!(widest(&narrow) <= columns, "{narrow}");
        // Cells go on in the next line: nothing is left out.
        let letters = |text: &str| {
            let letters = text.chars().filter(|c| c.is_alphanumeric());
            let mut letters: Vec<char> = letters.collect();
            letters.sort_unstable();
            letters
        };
        assert_eq!(letters(&narrow), letters(&wide), "{command}");
    }
}

#[test]
fn pipes_get_tables_as_they_are() {
    let folder = repository("demo/digits");
    let (_, piped, _) = crate::run(&folder, &["ops"]);
    assert!(widest(&piped) > 80, "{piped}");
}
