//! TensorFlow Lite files: refused with a message, or imported, optimized, compiled and run.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(imported) = import::tflite_bytes("fuzz.tflite", bytes, &import::Options::default()) {
        modelopt_fuzz::whole_way(imported.graph);
    }
});
