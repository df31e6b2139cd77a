//! Names the processor features that kernels need and that no `cfg` of stable Rust tells.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv7em)");
    println!("cargo::rustc-check-cfg=cfg(neon)");
    let of_target =
        |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // Only targets without floating point lack it, and loops are for the low byte first.
    let has_neon = of_target("FEATURE")
        .split(',')
        .any(|feature| feature == "neon");
    if of_target("ARCH") == "aarch64" && of_target("ENDIAN") == "little" && has_neon {
        println!("cargo::rustc-cfg=neon");
    }
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
