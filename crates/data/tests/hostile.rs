//! Whatever bytes a file holds, opening and reading it ends with samples or with a message.

use data::{Expected, Options, Source};
use proptest::prelude::*;

const ENDINGS: [&str; 9] = [
    "npy", "npz", "csv", "idx", "bin", "wav", "png", "tar", "tar.gz",
];

/// Beginnings that lead a reader on.
const STARTS: [&[u8]; 7] = [
    b"",
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 4), }",
    b"PK\x03\x04",
    b"\x00\x00\x08\x02\xff\xff\xff\xff\x00\x00\x00\x04",
    b"RIFF\x00\x00\x00\x00WAVEfmt ",
    b"\x89PNG\r\n\x1a\n",
    b"\x1f\x8b\x08\x00",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_files_are_read_or_refused(
        ending in 0..ENDINGS.len(),
        start in 0..STARTS.len(),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("x.{}", ENDINGS[ending]));
        std::fs::write(&path, [STARTS[start], &rest].concat()).unwrap();
        let expected = [Expected { name: "x".into(), shape: vec![2, 2, 1], channels_first: false, channel: None }];
        let labelled = Options { labels: Some(path.clone()), ..Options::default() };
        for options in [Options::default(), labelled] {
            if let Ok(source) = Source::open(&path, &expected, &options) {
                let _ = source.samples().map(|samples| samples.take(100).count());
            }
        }
    }
}
