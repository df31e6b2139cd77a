//! What convolutions and pools share: windows from attributes, and images in channels-last form.

use super::call::{Call, Item, Refusal, sizes};
use runtime::ops::Window2d;

/// Larger kernels, strides, dilations and paddings are refused: the compact format has 16 bits.
const LARGEST: i64 = 65_535;

/// A window with what `ceil_mode` adds to it.
pub(super) struct Spatial {
    /// The window; its padding includes the elements that `ceil_mode` needs.
    pub(super) window: Window2d,
    /// The padding that the source itself asks for: top, left, bottom, right.
    pub(super) declared: [usize; 4],
}

impl Spatial {
    /// The windows of one or two axes; one dimension is the columns of a single row.
    pub(super) fn of(axes: &[AxisWindow]) -> Self {
        let mut window = Window2d::dense([1, 1]);
        let mut declared = [0; 4];
        for (to, axis) in (0..2).rev().zip(axes.iter().rev()) {
            window.kernel[to] = axis.kernel;
            window.stride[to] = axis.stride;
            window.dilation[to] = axis.dilation;
            [window.padding[to], window.padding[to + 2]] = [axis.before, axis.after + axis.extra];
            [declared[to], declared[to + 2]] = [axis.before, axis.after];
        }
        Spatial { window, declared }
    }
}

/// A window along one axis.
#[derive(Clone, Copy)]
pub(super) struct AxisWindow {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Padding that the source asks for, on both sides.
    pub(super) before: usize,
    pub(super) after: usize,
    /// What `ceil_mode` needs behind it.
    pub(super) extra: usize,
}

impl AxisWindow {
    /// An axis that windows leave alone.
    pub(super) const NONE: AxisWindow = AxisWindow {
        kernel: 1,
        stride: 1,
        dilation: 1,
        before: 0,
        after: 0,
        extra: 0,
    };
}

impl Call<'_> {
    /// The number of spatial dimensions of an image `[N, C, …]`: 1 or 2.
    pub(super) fn spatial_rank(&self, image: Item) -> Result<usize, Refusal> {
        match self.shape(image).rank() {
            rank @ 3..=4 => Ok(rank - 2),
            rank => Err(Refusal::new(
                format!("works on {rank} dimensions, but only [N, C, L] and [N, C, H, W] can run"),
                "reshape the data to one or two spatial dimensions in the source model",
            )),
        }
    }

    /// `[N, C, H, W]` or `[N, C, L]` as `[N, H, W, C]` or `[N, 1, L, C]`.
    pub(super) fn channels_last(&mut self, image: Item) -> Result<Item, Refusal> {
        if self.spatial_rank(image)? == 2 {
            return self.transpose(image, vec![0, 2, 3, 1]);
        }
        let turned = self.transpose(image, vec![0, 2, 1])?;
        let [n, length, channels] = sizes(&self.shape(turned))[..] else {
            return Ok(turned);
        };
        self.reshape(turned, &[n, 1, length, channels])
    }

    /// The inverse of [`Self::channels_last`] for `rank` spatial dimensions.
    pub(super) fn channels_first(&mut self, image: Item, rank: usize) -> Result<Item, Refusal> {
        if rank == 2 {
            return self.transpose(image, vec![0, 3, 1, 2]);
        }
        let [n, _, length, channels] = sizes(&self.shape(image))[..] else {
            return Ok(image);
        };
        let flat = self.reshape(image, &[n, length, channels])?;
        self.transpose(flat, vec![0, 2, 1])
    }

    /// The windows of a node over an image `[N, C, …]` whose kernel has these sizes, one for every
    /// spatial dimension.
    pub(super) fn axis_windows(
        &self,
        image: Item,
        kernel: &[usize],
    ) -> Result<Vec<AxisWindow>, Refusal> {
        let rank = self.shape(image).rank().saturating_sub(2);
        if kernel.len() != rank || rank == 0 {
            let message = format!("its kernel {kernel:?} does not fit {rank} spatial dimensions");
            return Err(message.into());
        }
        if kernel.contains(&0) || self.shape(image).elements() == 0 {
            return Err("there is nothing to slide over, or no window".into());
        }
        let strides = self.spatial_sizes("strides", 1, rank, 1)?;
        let dilations = self.spatial_sizes("dilations", 1, rank, 1)?;
        let pads = self.spatial_sizes("pads", 0, 2 * rank, 0)?;
        let ceil = self.attributes.flag("ceil_mode")?;
        let auto = self.attributes.text("auto_pad", "NOTSET")?;
        let image = self.shape(image);
        let mut windows = Vec::new();
        for axis in 0..rank {
            let reach = (kernel[axis] - 1) * dilations[axis] + 1;
            let (size, stride) = (image.dim(axis + 2), strides[axis]);
            let total = (size.div_ceil(stride) - 1) * stride + reach;
            let total = total.saturating_sub(size);
            let [before, after] = match auto {
                "NOTSET" | "" => [pads[axis], pads[axis + rank]],
                "VALID" => [0, 0],
                "SAME_UPPER" => [total / 2, total - total / 2],
                "SAME_LOWER" => [total - total / 2, total / 2],
                other => return Err(format!("auto_pad '{other}' is not known").into()),
            };
            let extra = match ceil {
                true => ceil_padding(size, before, after, reach, stride),
                false => 0,
            };
            windows.push(AxisWindow {
                kernel: kernel[axis],
                stride,
                dilation: dilations[axis],
                before,
                after,
                extra,
            });
        }
        Ok(windows)
    }

    /// The attribute `kernel_shape`.
    pub(super) fn kernel_shape(&self, rank: usize) -> Result<Vec<usize>, Refusal> {
        if !self.attributes.has("kernel_shape") {
            return Err("its attribute 'kernel_shape' is missing".into());
        }
        self.spatial_sizes("kernel_shape", 1, rank, 1)
    }

    pub(super) fn spatial_sizes(
        &self,
        name: &str,
        default: usize,
        count: usize,
        smallest: i64,
    ) -> Result<Vec<usize>, Refusal> {
        let Some(values) = self
            .attributes
            .ints(name)?
            .filter(|values| !values.is_empty())
        else {
            return Ok(vec![default; count]);
        };
        let fits = values
            .iter()
            .all(|value| (smallest..=LARGEST).contains(value));
        if values.len() == count && fits {
            return Ok(values.iter().map(|&value| value as usize).collect());
        }
        let needs = format!("{count} numbers from {smallest} to {LARGEST}");
        Err(format!("its {name} are {values:?}, but must be {needs}").into())
    }
}

/// Elements beyond the padding that rounding the number of windows up needs. A window that
/// would start behind the image and the padding before it does not count.
fn ceil_padding(size: usize, before: usize, after: usize, reach: usize, stride: usize) -> usize {
    let padded = size + before + after;
    let Some(room) = padded.checked_sub(reach) else {
        return 0;
    };
    let mut steps = room.div_ceil(stride);
    if steps * stride >= size + before {
        steps = steps.saturating_sub(1);
    }
    (steps * stride + reach).saturating_sub(padded)
}

#[cfg(test)]
mod tests {
    use super::ceil_padding;

    #[test]
    fn rounding_up_needs_elements_behind_the_image() {
        assert_eq!(ceil_padding(5, 0, 0, 2, 2), 1);
        assert_eq!(ceil_padding(4, 0, 0, 2, 2), 0);
        // The third window would start behind the image.
        assert_eq!(ceil_padding(4, 0, 1, 2, 3), 0);
        assert_eq!(ceil_padding(1, 0, 0, 2, 2), 0);
    }
}
