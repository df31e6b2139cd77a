//! Reads the header of a NumPy array (format versions 1 to 3).

use crate::error::Error;
use npyz::NpyHeader;
use std::io::Read;
use std::path::Path;

/// Real headers have two levels of brackets; those of records have four. The library's parser takes
/// twice as long for each level more.
const DEPTH_MAX: usize = 6;

/// Real headers have some hundred bytes.
const BYTES_MAX: usize = 1 << 16;

/// Reads a header up to the first element, once it is known to be harmless.
pub(super) fn read(path: &Path, reader: &mut impl Read) -> Result<NpyHeader, Error> {
    let mut bytes = Vec::new();
    let mut append = |bytes: &mut Vec<u8>, count: usize| -> Result<(), Error> {
        let start = bytes.len();
        bytes.resize(start + count, 0);
        let read = reader.read_exact(&mut bytes[start..]);
        read.map_err(|error| Error::corrupt(path, error))
    };
    append(&mut bytes, 8)?;
    // The major version says how long the length is.
    let width = if bytes[6] == 1 { 2 } else { 4 };
    append(&mut bytes, width)?;
    let length = bytes[8..]
        .iter()
        .rev()
        .fold(0usize, |sum, &byte| (sum << 8) | usize::from(byte));
    if length > BYTES_MAX {
        return Err(Error::corrupt(
            path,
            format!("its header has {length} bytes"),
        ));
    }
    append(&mut bytes, length)?;
    if depth(&bytes[8 + width..]) > DEPTH_MAX {
        return Err(Error::corrupt(
            path,
            "the brackets of its header are nested too deeply",
        ));
    }
    NpyHeader::from_reader(&bytes[..]).map_err(|error| Error::corrupt(path, error))
}

/// How many brackets are open at once, at most.
fn depth(text: &[u8]) -> usize {
    let (mut open, mut most) = (0usize, 0);
    for byte in text {
        match byte {
            b'{' | b'[' | b'(' => open += 1,
            b'}' | b']' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<NpyHeader, Error> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        read(Path::new("x.npy"), &mut &bytes[..])
    }

    #[test]
    fn real_headers_are_read() {
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n";
        assert_eq!(header(text).unwrap().shape(), [3, 2]);
    }

    #[test]
    fn brackets_in_brackets_are_refused_at_once() {
        let text = format!("{{'descr': '<i8', {} 'shape': (1,), }}", "{".repeat(100));
        let error = header(&text).err().unwrap().to_string();
        assert!(error.contains("nested too deeply"), "{error}");
    }

    #[test]
    fn long_and_short_headers_are_refused() {
        let long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}";
        assert!(read(Path::new("x.npy"), &mut &long[..]).is_err());
        assert!(read(Path::new("x.npy"), &mut &b"\x93NUMPY\x01"[..]).is_err());
    }
}
