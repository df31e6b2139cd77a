//! Names the processor features that kernels need and that no `cfg` of stable Rust tells.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv7em)");
    let target = std::env::var("TARGET").unwrap_or_default();
    // Every Armv7E-M core has the DSP extension; in Armv8-M Mainline it is an option that all
    // cores but a few have.
    let is_dsp = std::env::var_os("CARGO_FEATURE_HELIUM").is_none()
        && (target.starts_with("thumbv7em-") || target.starts_with("thumbv8m.main-"));
    if is_dsp {
        println!("cargo::rustc-cfg=armv7em");
        // The assembler takes the instructions only for a core that is known to have them.
        let core = if target.starts_with("thumbv7em-") {
            "cortex-m4"
        } else {
            "cortex-m33"
        };
        println!("cargo::rustc-env=KERNELS_CPU=.cpu {core}");
    }
}
