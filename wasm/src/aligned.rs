//! Memory for a model and its arena.

use bytemuck::{cast_slice, cast_slice_mut};
use format::ALIGNMENT;

/// Bytes that start at a multiple of 16.
pub(crate) struct AlignedBytes {
    words: Vec<u64>,
    start: usize,
    length: usize,
}

impl AlignedBytes {
    /// Zeros; `None` when there is no memory for them.
    pub(crate) fn zeroed(length: usize) -> Option<Self> {
        let count = length.div_ceil(8).checked_add(1)?;
        let mut words: Vec<u64> = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize(count, 0);
        // A vector of u64 is aligned to 8: it is either right or one word off.
        let start = words.as_ptr().align_offset(ALIGNMENT).min(1) * 8;
        Some(AlignedBytes {
            words,
            start,
            length,
        })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        cast_slice(&self.words)
            .get(self.start..self.start + self.length)
            .unwrap_or(&[])
    }

    /// The bytes, writable.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let range = self.start..self.start + self.length;
        cast_slice_mut(&mut self.words)
            .get_mut(range)
            .unwrap_or(&mut [])
    }

    /// Where JavaScript finds them.
    pub(crate) fn address(&mut self) -> u32 {
        self.bytes_mut().as_mut_ptr().expose_provenance() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_aligned_and_too_long_is_refused() {
        for length in [0, 1, 16, 1000] {
            let mut memory = AlignedBytes::zeroed(length).unwrap();
            assert_eq!(memory.bytes_mut().as_ptr().addr() % ALIGNMENT, 0);
            assert_eq!(memory.bytes(), vec![0; length]);
        }
        assert!(AlignedBytes::zeroed(usize::MAX / 2).is_none());
    }
}
