//! `modelopt devices`: the places where models can run, and what is missing for the others.

use crate::table;
use serde_json::{Value, json};

/// Prints every place and whether it is ready.
pub(crate) fn run(json: bool) {
    let host = (String::from("host"), format!("this machine, {} kernels", kernels::Architecture::current().name()), None);
    let rows: Vec<(String, String, Option<String>)> = std::iter::once(host).chain(device::places()).collect();
    if json {
        let rows: Vec<Value> = rows.iter().map(|(name, about, missing)| json!({ "device": name, "about": about, "ready": missing.is_none(), "missing": missing })).collect();
        println!("{}", Value::from(rows));
        return;
    }
    let mut lines = table::table(&["device", "what it is", "ready"], 3);
    for (name, about, missing) in rows {
        lines.add_row([name, about, missing.map_or("yes".into(), |missing| format!("no: {missing}"))]);
    }
    table::print(&lines);
}
