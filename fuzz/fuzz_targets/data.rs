//! Data files of every kind: the first byte chooses the kind, the second whether the file is also
//! read as labels.
#![no_main]

use data::{Expected, Options, Source};
use libfuzzer_sys::fuzz_target;

const ENDINGS: [&str; 12] = [
    "npy", "npz", "csv", "idx", "idx.gz", "bin", "wav", "png", "jpg", "bmp", "tar", "tar.gz",
];

/// Samples that are read of one file.
const SAMPLES_MAX: usize = 50;

fuzz_target!(|bytes: &[u8]| {
    let [kind, labelled, file @ ..] = bytes else {
        return;
    };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let ending = ENDINGS[usize::from(*kind) % ENDINGS.len()];
    let path = folder.path().join(format!("x.{ending}"));
    std::fs::write(&path, file).expect("there is room for a file");
    let expected = [Expected {
        name: "x".into(),
        shape: vec![2, 2, 1],
        channels_first: false,
        channel: None,
    }];
    let labels = (labelled % 2 == 1).then(|| path.clone());
    let options = Options {
        labels,
        ..Options::default()
    };
    if let Ok(source) = Source::open(&path, &expected, &options)
        && let Ok(samples) = source.samples()
    {
        for sample in samples.take(SAMPLES_MAX).flatten() {
            assert_eq!(sample.values.len(), 4);
        }
    }
});
