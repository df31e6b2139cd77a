//! `modelopt devices`: the places where models can run, and what is missing for the others.

use crate::failure::Failure;
use crate::say::say;
use crate::table;
use serde_json::{Value, json};

/// A place, what it is, and what is missing there.
struct Row {
    device: String,
    about: String,
    missing: Option<String>,
}

fn rows() -> Result<Vec<Row>, Failure> {
    let kernels = kernels::Architecture::current().name();
    let mut rows = vec![
        Row {
            device: "host".into(),
            about: format!("this machine, {kernels} kernels"),
            missing: None,
        },
        Row {
            device: "wasm".into(),
            about: "the npm package in Node; wasm:scalar without SIMD".into(),
            missing: device::node::missing(),
        },
    ];
    let images = device::Images::locate();
    for board in device::boards().map_err(Failure::internal)? {
        let image = images.find(&board);
        let missing = match device::emulator_missing() {
            Some(missing) => Some(missing),
            None => image
                .err()
                .map(|_| format!("the image is not built; run `{}`", board.build_command())),
        };
        let about = format!("{}, {}, in QEMU", board.description, board.processor);
        rows.push(Row {
            device: format!("qemu:{}", board.name),
            about,
            missing,
        });
    }
    let about = "a board with the firmware, at a serial port".into();
    rows.push(Row {
        device: "serial:PORT@BAUD".into(),
        about,
        missing: None,
    });
    Ok(rows)
}

/// Prints every place and whether it is ready.
pub(crate) fn run(json: bool) -> Result<(), Failure> {
    let rows = rows()?;
    if json {
        let row = |row: &Row| json!({ "device": row.device, "about": row.about, "ready": row.missing.is_none(), "missing": row.missing });
        say!("{}", Value::from(rows.iter().map(row).collect::<Vec<_>>()));
        return Ok(());
    }
    let mut lines = table::table(&["device", "what it is", "ready"], 3);
    for row in rows {
        lines.add_row([
            row.device,
            row.about,
            row.missing
                .map_or("yes".into(), |missing| format!("no: {missing}")),
        ]);
    }
    table::print(lines);
    Ok(())
}
