//! The sliding window that convolutions and pools share: parameters, geometry, output size.

use format::{Node, Params, Shape};
use kernels::{Geometry, Window};

#[cfg(feature = "host")]
use crate::host::Operand;
#[cfg(feature = "host")]
use format::ParamsWriter;

/// A window over `[N, H, W, C]` with padding on all four sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window2d {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Steps between taps.
    pub dilation: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
}

#[cfg(feature = "host")]
impl super::Kind {
    /// The window that the operator slides over images.
    pub fn window(&self) -> Option<&Window2d> {
        match self {
            Self::Conv2d(conv) => Some(&conv.window),
            Self::MaxPool2d(pool) => Some(&pool.window),
            Self::AveragePool2d(pool) => Some(&pool.window),
            _ => None,
        }
    }

    /// As [`Self::window`], to be changed.
    pub fn window_mut(&mut self) -> Option<&mut Window2d> {
        match self {
            Self::Conv2d(conv) => Some(&mut conv.window),
            Self::MaxPool2d(pool) => Some(&mut pool.window),
            Self::AveragePool2d(pool) => Some(&mut pool.window),
            _ => None,
        }
    }
}

/// Reads the window that [`Window2d::encode`] wrote.
pub(crate) fn decode(params: &mut Params<'_>) -> Window {
    let mut pair = || [usize::from(params.u16()), usize::from(params.u16())];
    Window {
        kernel: pair(),
        stride: pair(),
        dilation: pair(),
        padding: pair(),
    }
}

/// `[N, H, W, C]` of a tensor. Other ranks are rows of one column: `[1, all but the last, 1, C]`.
pub(crate) fn image(shape: &Shape) -> [usize; 4] {
    match shape.rank() {
        4 => [shape.dim(0), shape.dim(1), shape.dim(2), shape.dim(3)],
        _ => [1, shape.elements() / shape.last().max(1), 1, shape.last()],
    }
}

/// The geometry of a node from image to image.
pub(crate) fn geometry(node: &Node<'_>, window: Window, groups: usize) -> Option<Geometry> {
    let (input, output) = (node.input(0)?, node.output(0)?);
    Some(between(&input.shape, &output.shape, window, groups))
}

/// The geometry from image to image of two tensors.
pub(crate) fn between(input: &Shape, output: &Shape, window: Window, groups: usize) -> Geometry {
    let ([_, input @ ..], [_, output @ ..]) = (image(input), image(output));
    Geometry {
        input,
        output,
        window,
        groups,
    }
}

/// Whether both tensors are images of one batch and the window can move over them.
pub(crate) fn check(node: &Node<'_>, geometry: &Geometry) -> Option<()> {
    let (input, output) = (node.input(0)?.shape, node.output(0)?.shape);
    let images = image(&input)[0] == image(&output)[0];
    let window = &geometry.window;
    let positive = |pair: [usize; 2]| pair.iter().all(|&n| n > 0);
    let moves = positive(window.kernel) && positive(window.stride) && positive(window.dilation);
    // Keeps every product of positions far from overflow on 32-bit targets.
    let small = geometry
        .input
        .iter()
        .chain(&geometry.output)
        .all(|&n| n < 1 << 20);
    (images && moves && small && geometry.groups > 0).then_some(())
}

#[cfg(feature = "host")]
impl Window2d {
    /// A window that moves by one element without padding.
    pub fn dense(kernel: [usize; 2]) -> Self {
        Window2d {
            kernel,
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0; 4],
        }
    }

    /// Output size along `axis` (0 rows, 1 columns) for `size` input elements.
    pub fn output_size(&self, axis: usize, size: usize) -> Result<usize, std::string::String> {
        let reach = (self.kernel[axis].max(1) - 1) * self.dilation[axis] + 1;
        let padded = size + self.padding[axis] + self.padding[axis + 2];
        match padded.checked_sub(reach) {
            Some(room) if self.stride[axis] > 0 => Ok(room / self.stride[axis] + 1),
            _ => Err(std::format!(
                "a window of {reach} does not fit {padded} padded elements"
            )),
        }
    }

    /// The overlap distance of an operator that slides this window: row `y` of the output must
    /// end before the first input row that row `y` still reads.
    pub(crate) fn overlap(&self, input: &Operand<'_>, output: &Operand<'_>) -> Option<usize> {
        let ([batch, rows, _, _], [_, output_rows, _, _]) =
            (image(&input.shape), image(&output.shape));
        if batch != 1 || input.dtype != output.dtype {
            return None;
        }
        let row = input.shape.elements() * input.dtype.bytes() / rows.max(1);
        let output_row = output.shape.elements() * output.dtype.bytes() / output_rows.max(1);
        let distance = |y: usize| {
            let first = (y * self.stride[0])
                .saturating_sub(self.padding[0])
                .min(rows);
            ((y + 1) * output_row).saturating_sub(first * row)
        };
        (0..output_rows).map(distance).max()
    }

    pub(crate) fn encode(&self, params: &mut ParamsWriter) {
        let [top, left, _, _] = self.padding;
        for [a, b] in [self.kernel, self.stride, self.dilation, [top, left]] {
            params.u16(a as u16).u16(b as u16);
        }
    }

    pub(crate) fn fits_u16(&self) -> Result<(), std::string::String> {
        let all = [self.kernel, self.stride, self.dilation];
        let largest = all
            .iter()
            .flatten()
            .chain(&self.padding)
            .max()
            .copied()
            .unwrap_or(0);
        if largest < 65_536 {
            Ok(())
        } else {
            Err("the window is larger than 65,535".into())
        }
    }
}
