//! Short output rows, computed all at once over an input that is staged as a whole: rows of a few
//! pixels would spend their time on starting.

use super::{Checked, Strip, Tiles, stage};
use crate::Geometry;
use crate::tiled::plan::{KERNEL_ROWS_MAX, Staging};

/// The most pixels of a short row.
const PIXELS_MAX: usize = 16;

/// Staged elements that leave a first-level cache of 32 kB room for weights.
const ELEMENTS_MAX: usize = 13 << 10;

/// All rows of an input, and those of the padding.
pub(super) struct Whole {
    rows: usize,
    row_elements: usize,
}

impl Whole {
    /// `None` where rows are long or would be too many to stage all of them.
    pub(super) fn of(geometry: &Geometry, staging: &Staging) -> Option<Whole> {
        let window = &geometry.window;
        let reach = (window.kernel[0] - 1).checked_mul(window.dilation[0])?;
        let whole = Whole {
            rows: (geometry.output[0] - 1)
                .checked_mul(window.stride[0])?
                .checked_add(reach + 1)?,
            row_elements: staging.row_elements,
        };
        let elements = whole.rows.checked_mul(whole.row_elements)?;
        let serves = geometry.output[1] <= PIXELS_MAX && elements <= ELEMENTS_MAX;
        serves.then_some(whole)
    }

    pub(super) fn elements(&self) -> usize {
        self.rows * self.row_elements
    }

    /// Computes all outputs. The input is staged before the first of them is written, so that
    /// they may overlap in any way.
    pub(super) fn run<T: Tiles>(
        &self,
        tiles: T,
        checked: &Checked<'_, T>,
        staging: &Staging,
        depthwise: bool,
    ) {
        self.stage(tiles, checked, staging);
        let geometry = &checked.operands.geometry;
        let window = &geometry.window;
        let mut pointers = [core::ptr::null::<T::Input>(); KERNEL_ROWS_MAX];
        let pointers = &mut pointers[..window.kernel[0]];
        for (tap, pointer) in pointers.iter_mut().enumerate() {
            let start = tap * window.dilation[0] * self.row_elements;
            *pointer = checked.staged.cast_const().wrapping_add(start);
        }
        let strip = Strip {
            rows: pointers,
            step: window.stride[1] * geometry.input[2] * staging.repeat,
            pixels: geometry.output[1],
            lines: geometry.output[0],
            line_step: window.stride[0] * self.row_elements,
            output: checked.operands.output.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the windows of the last line end at the last staged row, those of a row's last
        // pixel at the row's end, behind which there is slack; `Checked` compared the output's
        // length with the geometry, and the weights are its.
        unsafe {
            match depthwise {
                true => tiles.depthwise(&checked.weights, &strip),
                false => tiles.strip(&checked.weights, &strip),
            }
        }
    }

    fn stage<T: Tiles>(&self, tiles: T, checked: &Checked<'_, T>, staging: &Staging) {
        let geometry = &checked.operands.geometry;
        let zero = T::Input::from(checked.operands.input_zero_point);
        let input_row = geometry.input[1] * geometry.input[2];
        let from = checked.operands.input.as_ptr();
        for row in 0..self.rows {
            let inside = row
                .checked_sub(geometry.window.padding[0])
                .filter(|&row| row < geometry.input[0]);
            // SAFETY: the staged memory has as many rows (`Checked`), and the input has those
            // inside it.
            unsafe {
                let to = checked.staged.add(row * self.row_elements);
                match inside {
                    Some(row) => {
                        let from = from.add(row * input_row);
                        stage::row(tiles, staging, geometry.input[2], from, to, zero);
                    }
                    None => stage::fill(to, self.row_elements, zero),
                }
            }
        }
    }
}
