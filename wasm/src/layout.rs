//! From the caller's order of elements to the tensor's, and back.

use format::Shape;

/// The order in which a tensor's elements lie in the caller's array.
#[derive(Debug, PartialEq)]
pub(crate) enum Layout {
    /// The same order.
    Same,
    /// Tensor axes longer than 1, outermost first: their length, and the distance in the
    /// caller's array between neighbours along them.
    Strided(Vec<Axis>),
}

/// One axis of the tensor.
#[derive(Debug, PartialEq)]
pub(crate) struct Axis {
    length: usize,
    stride: usize,
}

impl Layout {
    /// The layout of a caller's array of shape `shape`, where tensor axis `i` is the caller's
    /// axis `axes[i]`. `None` when that is not a permutation that fits the tensor.
    pub(crate) fn new(shape: &[u32], axes: &[u8], tensor: &Shape) -> Option<Self> {
        let elements = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d as usize))?;
        if elements != tensor.elements() {
            return None;
        }
        if axes.is_empty() {
            return Some(Layout::Same);
        }
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        let permutes = sorted
            .iter()
            .enumerate()
            .all(|(i, &axis)| i == usize::from(axis));
        if !permutes || axes.len() != shape.len() || axes.len() != tensor.rank() {
            return None;
        }
        let mut strided = Vec::new();
        for (i, &axis) in axes.iter().enumerate() {
            let axis = usize::from(axis);
            let length = *shape.get(axis)? as usize;
            if length != tensor.dim(i) {
                return None;
            }
            let inner = shape.get(axis + 1..)?;
            let stride = inner.iter().map(|&d| d as usize).product();
            if length > 1 {
                strided.push(Axis { length, stride });
            }
        }
        let mut dense = 1;
        let is_same = strided.iter().rev().all(|axis| {
            let same = axis.stride == dense;
            dense *= axis.length;
            same
        });
        Some(if is_same {
            Layout::Same
        } else {
            Layout::Strided(strided)
        })
    }

    /// Copies elements of `width` bytes from the caller's order to the tensor's.
    pub(crate) fn gather(&self, width: usize, caller: &[u8], tensor: &mut [u8]) {
        match self {
            Layout::Same => copy(caller, tensor),
            Layout::Strided(axes) => {
                let mut elements = tensor.chunks_exact_mut(width);
                each_offset(axes, 0, &mut |offset| {
                    if let Some(to) = elements.next() {
                        copy(caller.get(offset * width..).unwrap_or(&[]), to);
                    }
                });
            }
        }
    }

    /// Copies elements of `width` bytes from the tensor's order to the caller's.
    pub(crate) fn scatter(&self, width: usize, tensor: &[u8], caller: &mut [u8]) {
        match self {
            Layout::Same => copy(tensor, caller),
            Layout::Strided(axes) => {
                let mut elements = tensor.chunks_exact(width);
                each_offset(axes, 0, &mut |offset| {
                    if let Some(from) = elements.next() {
                        copy(from, caller.get_mut(offset * width..).unwrap_or(&mut []));
                    }
                });
            }
        }
    }
}

/// Copies as many bytes as both sides have.
fn copy(from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Calls `visit` with the caller's offset of every element, in the tensor's order.
fn each_offset(axes: &[Axis], start: usize, visit: &mut dyn FnMut(usize)) {
    match axes {
        [] => visit(start),
        [last] => (0..last.length).for_each(|i| visit(start + i * last.stride)),
        [first, inner @ ..] => {
            (0..first.length).for_each(|i| each_offset(inner, start + i * first.stride, visit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNELS_LAST: [u8; 4] = [0, 2, 3, 1];

    #[test]
    fn an_image_is_gathered_channels_last_and_scattered_back() {
        let tensor = Shape::new(&[1, 1, 3, 2]).unwrap();
        let layout = Layout::new(&[1, 2, 1, 3], &CHANNELS_LAST, &tensor).unwrap();
        let mut gathered = [0; 6];
        layout.gather(1, &[1, 2, 3, 11, 12, 13], &mut gathered);
        assert_eq!(gathered, [1, 11, 2, 12, 3, 13]);
        let mut scattered = [0; 6];
        layout.scatter(1, &gathered, &mut scattered);
        assert_eq!(scattered, [1, 2, 3, 11, 12, 13]);
    }

    #[test]
    fn wide_elements_move_whole() {
        let tensor = Shape::new(&[2, 2]).unwrap();
        let layout = Layout::new(&[2, 2], &[1, 0], &tensor).unwrap();
        let mut gathered = [0; 8];
        layout.gather(2, &[1, 2, 3, 4, 5, 6, 7, 8], &mut gathered);
        assert_eq!(gathered, [1, 2, 5, 6, 3, 4, 7, 8]);
    }

    #[test]
    fn one_channel_keeps_its_order() {
        let tensor = Shape::new(&[1, 8, 8, 1]).unwrap();
        assert_eq!(
            Layout::new(&[1, 1, 8, 8], &CHANNELS_LAST, &tensor),
            Some(Layout::Same)
        );
        assert_eq!(Layout::new(&[64], &[], &tensor), Some(Layout::Same));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let tensor = Shape::new(&[1, 8, 4, 2]).unwrap();
        for (shape, axes) in [
            (&[1, 2, 8, 3][..], &CHANNELS_LAST[..]),
            (&[1, 8, 2, 4], &CHANNELS_LAST),
            (&[1, 2, 8, 4], &[0, 2, 2, 1]),
            (&[1, 2, 8, 4], &[0, 2, 3, 9]),
            (&[64], &[0]),
            (&[u32::MAX, u32::MAX, 64], &[]),
        ] {
            assert_eq!(
                Layout::new(shape, axes, &tensor),
                None,
                "{shape:?} {axes:?}"
            );
        }
    }
}
