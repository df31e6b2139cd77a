//! `answers MODEL`: reads inputs of a compact model with one of them, as the model stores them and
//! one after the other, and writes a line with the name of the kernels, then the outputs. Tests
//! run it on emulated processors.

use runtime::host::Runner;
use std::error::Error;
use std::io::{Read, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a model")?;
    let mut runner = Runner::new(&std::fs::read(path)?).map_err(|error| error.to_string())?;
    let mut session = runner.session().map_err(|error| error.to_string())?;
    let model = session.model();
    let input_bytes = model.input(0).ok_or("the model has no input")?.bytes();
    let mut samples = Vec::new();
    std::io::stdin().read_to_end(&mut samples)?;
    let mut to = std::io::stdout().lock();
    writeln!(to, "{}", session.kernels())?;
    for sample in samples.chunks_exact(input_bytes.max(1)) {
        let refused = |error: runtime::Error| error.to_string();
        session.set_input(0, sample).map_err(refused)?;
        session.run();
        for index in 0..model.output_count() {
            let tensor = model.output(index).ok_or("an output is missing")?;
            let mut bytes = vec![0; tensor.bytes()];
            session.output(index, &mut bytes).map_err(refused)?;
            to.write_all(&bytes)?;
        }
    }
    Ok(())
}
