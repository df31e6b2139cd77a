//! Views over the arena that may overlap.
//!
//! The planner lets an operator's output overwrite the part of its input that is no longer
//! needed. A `&mut` beside a `&` could not say that, so operands are [`In`] (read only) and
//! `&[Cell<T>]` (read and write): both may alias, and neither ever becomes a `&T`.

use core::cell::Cell;
use core::marker::PhantomData;

mod sealed {
    /// Types for which every bit pattern is a value.
    pub trait Plain: Copy + 'static {}
    impl Plain for u8 {}
    impl Plain for i8 {}
    impl Plain for u16 {}
    impl Plain for i16 {}
    impl Plain for u32 {}
    impl Plain for i32 {}
    impl Plain for i64 {}
    impl Plain for u64 {}
    impl Plain for f32 {}
    #[cfg(target_arch = "x86_64")]
    impl Plain for crate::x86::i8::Raised {}
}
pub use sealed::Plain;

/// A read-only operand. Unlike `&[T]` it may alias cells that are written.
#[derive(Clone, Copy, Debug)]
pub struct In<'a, T> {
    data: *const T,
    length: usize,
    life: PhantomData<&'a [Cell<T>]>,
}

impl<'a, T: Plain> In<'a, T> {
    /// A view over constants.
    pub fn from_slice(slice: &'a [T]) -> Self {
        In {
            data: slice.as_ptr(),
            length: slice.len(),
            life: PhantomData,
        }
    }

    /// A view over a part of the arena.
    pub fn from_cells(cells: &'a [Cell<T>]) -> Self {
        In {
            data: cells.as_ptr().cast(),
            length: cells.len(),
            life: PhantomData,
        }
    }

    /// The number of elements.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Element `index`, or the type's zero past the end.
    #[inline(always)]
    pub fn get(&self, index: usize) -> T
    where
        T: Default,
    {
        if index < self.length {
            // SAFETY: `index` is inside the slice or the cells this view was made from, which
            // live for 'a. A plain read may alias cells: no reference to the element exists.
            unsafe { self.data.add(index).read() }
        } else {
            T::default()
        }
    }

    /// Elements `start..start + length`, shortened where they do not exist.
    pub fn part(&self, start: usize, length: usize) -> In<'a, T> {
        let start = start.min(self.length);
        let length = length.min(self.length - start);
        // SAFETY: `start <= self.length`, so the pointer stays inside or one past the end.
        let data = unsafe { self.data.add(start) };
        In {
            data,
            length,
            life: PhantomData,
        }
    }

    /// The address of the first element, for kernels.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const T {
        self.data
    }
}

impl In<'_, i8> {
    /// Elements `index..index + 4` as a word, the first one lowest; 0 past the end.
    #[inline(always)]
    pub fn word(&self, index: usize) -> u32 {
        if index < self.length && self.length - index >= 4 {
            // SAFETY: as `get`, for four elements.
            unsafe { self.data.add(index).cast::<u32>().read_unaligned() }
        } else {
            u32::from_le_bytes([0, 1, 2, 3].map(|i| self.get(index + i) as u8))
        }
    }
}

impl In<'_, f32> {
    /// Elements `index..index + 8`; 0 past the end.
    #[inline(always)]
    pub fn eight(&self, index: usize) -> [f32; 8] {
        if index < self.length && self.length - index >= 8 {
            // SAFETY: as `get`, for eight elements.
            unsafe { self.data.add(index).cast::<[f32; 8]>().read() }
        } else {
            core::array::from_fn(|i| self.get(index + i))
        }
    }
}

/// The bytes as elements of `T`; `None` when they are not aligned. No bytes at all are no elements, wherever
/// they are. Spare bytes are left out.
pub fn cells_as<T: Plain>(bytes: &[Cell<u8>]) -> Option<&[Cell<T>]> {
    let start = bytes.as_ptr();
    if bytes.is_empty() {
        return Some(&[]);
    }
    if !start.addr().is_multiple_of(align_of::<T>()) {
        return None;
    }
    let length = bytes.len() / size_of::<T>();
    // SAFETY: the region is inside `bytes`, aligned for T (checked above), every bit pattern is
    // a T (`Plain`), Cell<T> has the layout of T, and cells may alias cells on one thread.
    Some(unsafe { core::slice::from_raw_parts(start.cast(), length) })
}

/// Constant bytes as elements of `T`, as [`cells_as`].
pub fn slice_as<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    if bytes.is_empty() {
        return Some(&[]);
    }
    if !bytes.as_ptr().addr().is_multiple_of(align_of::<T>()) {
        return None;
    }
    let length = bytes.len() / size_of::<T>();
    // SAFETY: the region is inside `bytes`, aligned for T (checked above), and every bit pattern
    // is a T (`Plain`).
    Some(unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), length) })
}

/// Elements as bytes.
pub fn as_bytes<T: Plain>(elements: &[T]) -> &[u8] {
    // SAFETY: `Plain` types have no padding, and u8 needs no alignment.
    unsafe { core::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

/// Elements as writable bytes.
pub fn as_bytes_mut<T: Plain>(elements: &mut [T]) -> &mut [u8] {
    let bytes = size_of_val(elements);
    // SAFETY: as `as_bytes`; every bit pattern written is a T again.
    unsafe { core::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), bytes) }
}

/// Whether two operands share a byte.
pub fn overlaps<T, U>(input: &In<'_, T>, output: &[Cell<U>]) -> bool {
    let (a, b) = (input.data.addr(), output.as_ptr().addr());
    let (a_bytes, b_bytes) = (input.length * size_of::<T>(), size_of_val(output));
    a < b + b_bytes && b < a + a_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty slice that nobody has placed is at an odd address.
    #[test]
    fn nothing_is_aligned() {
        assert!(slice_as::<f32>(&[]).is_some_and(<[f32]>::is_empty));
        assert!(cells_as::<f32>(&[]).is_some_and(<[Cell<f32>]>::is_empty));
        let bytes = [0u32; 2];
        let bytes = as_bytes(&bytes);
        assert!(slice_as::<f32>(&bytes[1..5]).is_none());
    }

    #[test]
    fn views_alias_and_stay_in_bounds() {
        let mut bytes = [0u8; 8];
        let cells = Cell::from_mut(&mut bytes[..]).as_slice_of_cells();
        let view = In::from_cells(cells);
        cells[3].set(7);
        assert_eq!(view.get(3), 7);
        assert_eq!(view.get(8), 0);
        assert_eq!(view.part(3, 99).len(), 5);
        assert!(overlaps(&view, &cells[7..]));
        assert!(!overlaps(&view.part(0, 4), &cells[4..]));
    }
}
