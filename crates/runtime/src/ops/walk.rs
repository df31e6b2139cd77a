//! Walks a tensor's elements in row-major order and tells each one's place in another layout.

use format::MAX_RANK;

/// Byte offsets of elements under given strides, in row-major order of `dims`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// Sizes, outermost first.
    pub dims: [usize; MAX_RANK],
    /// Bytes between neighbours along each axis in the other layout.
    pub strides: [usize; MAX_RANK],
    /// How many axes count.
    pub rank: usize,
    /// Byte offset of the first element.
    pub start: usize,
}

impl Walk {
    /// Calls `visit` with the offset of each of the elements.
    pub(crate) fn each(&self, mut visit: impl FnMut(usize)) {
        let elements: usize = self.dims.iter().take(self.rank).product();
        let mut index = [0usize; MAX_RANK];
        let mut at = self.start;
        for _ in 0..elements {
            visit(at);
            for axis in (0..self.rank.min(MAX_RANK)).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.dims[axis] {
                    break;
                }
                at -= self.strides[axis] * index[axis];
                index[axis] = 0;
            }
        }
    }
}
