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
            Layout::Strided(axes) => match width {
                1 => gather_elements::<1>(axes, caller, tensor),
                2 => gather_elements::<2>(axes, caller, tensor),
                4 => gather_elements::<4>(axes, caller, tensor),
                _ => gather_elements::<8>(axes, caller, tensor),
            },
        }
    }

    /// Copies elements of `width` bytes from the tensor's order to the caller's.
    pub(crate) fn scatter(&self, width: usize, tensor: &[u8], caller: &mut [u8]) {
        match self {
            Layout::Same => copy(tensor, caller),
            Layout::Strided(axes) => match width {
                1 => scatter_elements::<1>(axes, tensor, caller),
                2 => scatter_elements::<2>(axes, tensor, caller),
                4 => scatter_elements::<4>(axes, tensor, caller),
                _ => scatter_elements::<8>(axes, tensor, caller),
            },
        }
    }
}

/// Elements of a width that is known when this is compiled move in one instruction each.
fn gather_elements<const WIDTH: usize>(axes: &[Axis], caller: &[u8], tensor: &mut [u8]) {
    let (from, _) = caller.as_chunks::<WIDTH>();
    let (mut to, _) = tensor.as_chunks_mut::<WIDTH>();
    each_row(axes, &mut |start, row| {
        let (here, behind) = core::mem::take(&mut to).split_at_mut_checked(row.length)?;
        for (i, element) in here.iter_mut().enumerate() {
            *element = *from.get(start + i * row.stride)?;
        }
        to = behind;
        Some(())
    });
}

/// The other way round.
fn scatter_elements<const WIDTH: usize>(axes: &[Axis], tensor: &[u8], caller: &mut [u8]) {
    let (mut from, _) = tensor.as_chunks::<WIDTH>();
    let (to, _) = caller.as_chunks_mut::<WIDTH>();
    each_row(axes, &mut |start, row| {
        let (here, behind) = from.split_at_checked(row.length)?;
        for (i, element) in here.iter().enumerate() {
            *to.get_mut(start + i * row.stride)? = *element;
        }
        from = behind;
        Some(())
    });
}

/// Copies as many bytes as both sides have.
fn copy(from: &[u8], to: &mut [u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Calls `visit` with the caller's offset of the first element of every row along the innermost
/// axis, and with that axis, in the tensor's order; ends where it gives `None`.
fn each_row(axes: &[Axis], visit: &mut dyn FnMut(usize, &Axis) -> Option<()>) {
    let Some((row, outer)) = axes.split_last() else {
        return;
    };
    let _ = each_start(outer, 0, &mut |start| visit(start, row));
}

fn each_start(
    axes: &[Axis],
    start: usize,
    visit: &mut dyn FnMut(usize) -> Option<()>,
) -> Option<()> {
    match axes {
        [] => visit(start),
        [first, inner @ ..] => {
            (0..first.length).try_for_each(|i| each_start(inner, start + i * first.stride, visit))
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
