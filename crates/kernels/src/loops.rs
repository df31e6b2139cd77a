//! Which sets have loops of their own for which function, for tables. The others run the plain ones,
//! with the same results.

use crate::Architecture::{
    self, Armv7em, Avx2, Avx512Vnni, AvxVnni, Helium, Neon, NeonDotprod, Simd128,
};

/// Functions by the path that calls name them by, and the sets that have them.
const LOOPS: [(&str, &[Architecture]); 9] = [
    (
        "i8::conv_2d",
        &[
            Armv7em,
            Helium,
            Neon,
            NeonDotprod,
            Simd128,
            Avx2,
            AvxVnni,
            Avx512Vnni,
        ],
    ),
    (
        "i8::add",
        &[
            Armv7em,
            Helium,
            Neon,
            NeonDotprod,
            Simd128,
            Avx2,
            AvxVnni,
            Avx512Vnni,
        ],
    ),
    (
        "i8::stepwise_add",
        &[
            Armv7em,
            Helium,
            Neon,
            NeonDotprod,
            Avx2,
            AvxVnni,
            Avx512Vnni,
        ],
    ),
    (
        "i8::average_pool_2d",
        &[
            Helium,
            Neon,
            NeonDotprod,
            Simd128,
            Avx2,
            AvxVnni,
            Avx512Vnni,
        ],
    ),
    (
        "i8::window_sums",
        &[Helium, Neon, NeonDotprod, Avx2, AvxVnni, Avx512Vnni],
    ),
    (
        "i8::max_pool_2d",
        &[Neon, NeonDotprod, Simd128, Avx2, AvxVnni, Avx512Vnni],
    ),
    ("i8::quantize", &[Simd128]),
    (
        "i8::lookup",
        &[Neon, NeonDotprod, Simd128, Avx2, AvxVnni, Avx512Vnni],
    ),
    (
        "f32::conv_2d",
        &[Neon, NeonDotprod, Simd128, Avx2, AvxVnni, Avx512Vnni],
    ),
];

/// The sets that have loops of their own for a function, such as `i8::add`.
pub fn loops(function: &str) -> &'static [Architecture] {
    let found = LOOPS.iter().find(|(name, _)| *name == function);
    found.map_or(&[], |(_, sets)| sets)
}

#[cfg(test)]
mod tests {
    use super::loops;
    use crate::Architecture;
    use std::format;

    /// What the code of a function says that dispatches to a set.
    fn mark(set: Architecture) -> &'static str {
        match set {
            Architecture::Scalar => "there is no mark of what always runs",
            Architecture::Armv7em => "#[cfg(armv7em)]",
            Architecture::Helium => "feature = \"helium\"))]\n    helium::",
            Architecture::Neon | Architecture::NeonDotprod => "#[cfg(neon)]",
            Architecture::Simd128 => "Simd128::detect()",
            // A processor with more than AVX2 has that, too.
            Architecture::Avx2 | Architecture::AvxVnni | Architecture::Avx512Vnni => {
                "Avx2::detect()"
            }
        }
    }

    /// The table says what the functions do.
    #[test]
    fn the_table_is_that_of_the_code() {
        let sources = [
            ("i8", include_str!("i8.rs")),
            ("f32", include_str!("f32.rs")),
        ];
        let mut seen = 0;
        for (module, source) in sources {
            let source = source
                .replace("\npub(crate) fn ", "\nfn ")
                .replace("\npub fn ", "\nfn ");
            for part in source.split("\nfn ").skip(1) {
                let name = part
                    .split('(')
                    .next()
                    .unwrap_or("")
                    .trim_end_matches("_alone");
                let body = part.split("\n}\n").next().unwrap_or("");
                if !body.contains("detect()") {
                    continue;
                }
                let body = body.replace("if let Some(sums) = helium::", "helium::");
                let found = |set: &Architecture| body.contains(mark(*set));
                let path = format!("{module}::{name}");
                for set in Architecture::ALL {
                    assert_eq!(
                        found(&set),
                        loops(&path).contains(&set),
                        "{path} {}",
                        set.name()
                    );
                }
                seen += 1;
            }
        }
        assert_eq!(seen, super::LOOPS.len());
    }
}
