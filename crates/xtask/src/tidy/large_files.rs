//! No file is so large that every clone pays for it.

use super::files::{Finding, SourceFile};

const SIZE_BYTES_MAX: u64 = 1_000_000;

/// Finds files over the limit.
pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let large = files.iter().filter(|file| file.size_bytes > SIZE_BYTES_MAX);
    large
        .map(|file| {
            let message = format!("{} bytes, over {SIZE_BYTES_MAX}", file.size_bytes);
            file.finding(0, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_over_the_limit_is_found_and_one_at_it_is_not() {
        let file = |size_bytes| SourceFile {
            path: "model.onnx".to_owned(),
            size_bytes,
            text: None,
        };
        assert_eq!(check(&[file(1_000_001)]).len(), 1);
        assert_eq!(check(&[file(1_000_000)]), []);
    }
}
