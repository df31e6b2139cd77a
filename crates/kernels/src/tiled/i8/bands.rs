//! Windows of several output rows over input rows that are staged together: every start of loops over
//! a row costs as much as some pixels do.

use super::{Checked, Strip, Tiles, stage};
use crate::Geometry;
use crate::tiled::plan::{KERNEL_ROWS_MAX, Staging};

/// Staged elements that leave a first-level cache room for input, output and weights.
const ELEMENTS_MAX: usize = 13 << 10;

/// Bands of output rows. Staged rows that the next band needs as well are moved to its start.
pub(super) struct Bands {
    /// Output rows of a band, at least one.
    lines: usize,
    /// Staged rows under a window.
    reach: usize,
    /// Staged rows from one output row to the next.
    advance: usize,
    row_elements: usize,
}

impl Bands {
    pub(super) fn of(geometry: &Geometry, staging: &Staging) -> Self {
        let window = &geometry.window;
        let reach = (window.kernel[0] - 1) * window.dilation[0] + 1;
        let advance = window.stride[0].min(reach);
        let rows = ELEMENTS_MAX / staging.row_elements.max(1);
        let lines = rows.saturating_sub(reach) / advance.max(1) + 1;
        Bands {
            lines: lines.min(geometry.output[0]).max(1),
            reach,
            advance,
            row_elements: staging.row_elements,
        }
    }

    /// Staged rows of a band of so many output rows.
    fn rows(&self, lines: usize) -> usize {
        (lines - 1) * self.advance + self.reach
    }

    /// Staged elements.
    pub(super) fn elements(&self) -> usize {
        self.rows(self.lines) * self.row_elements
    }

    /// Computes all outputs. All that a band needs is staged before any of its outputs is written, and
    /// what these overwrite are rows that later bands do not need or have staged.
    pub(super) fn run<T: Tiles>(
        &self,
        tiles: T,
        checked: &Checked<'_, T>,
        staging: &Staging,
        depthwise: bool,
    ) {
        let geometry = &checked.operands.geometry;
        let window = &geometry.window;
        let mut pointers = [core::ptr::null::<T::Input>(); KERNEL_ROWS_MAX];
        let pointers = &mut pointers[..window.kernel[0]];
        for (tap, pointer) in pointers.iter_mut().enumerate() {
            let start = tap * window.dilation[0] * self.row_elements;
            *pointer = checked.staged.cast_const().wrapping_add(start);
        }
        let [rows, columns, outputs] = geometry.output;
        let mut kept = 0;
        for first in (0..rows).step_by(self.lines) {
            let lines = self.lines.min(rows - first);
            let band = Band { first, lines, kept };
            self.stage(tiles, checked, staging, &band);
            let output = checked.operands.output.as_ptr().cast_mut().cast::<i8>();
            let strip = Strip {
                rows: pointers,
                step: window.stride[1] * geometry.input[2] * staging.repeat,
                pixels: columns,
                lines,
                line_step: self.advance * self.row_elements,
                output: output.wrapping_add(first * columns * outputs),
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
            kept = self.reach - self.advance;
        }
    }

    /// Stages the rows of a band behind those that are kept.
    fn stage<T: Tiles>(&self, tiles: T, checked: &Checked<'_, T>, staging: &Staging, band: &Band) {
        let geometry = &checked.operands.geometry;
        let zero = T::Input::from(checked.operands.input_zero_point);
        let channels = geometry.input[2];
        let from = checked.operands.input.as_ptr();
        // SAFETY: rows of the band are within the staged memory (`Checked`), and so are those that are
        // kept: they were the last ones of a whole band. The input has the rows inside it.
        unsafe {
            let start = self.lines * self.advance * self.row_elements;
            let elements = band.kept * self.row_elements;
            core::ptr::copy(checked.staged.add(start), checked.staged, elements);
            for row in band.kept..self.rows(band.lines) {
                let to = checked.staged.add(row * self.row_elements);
                match self.input_row(geometry, band.first, row) {
                    Some(row) => {
                        // Later bands find the margins there.
                        if band.first == 0 {
                            stage::margins(staging, channels, to, zero);
                        }
                        let from = from.add(row * geometry.input[1] * channels);
                        stage::row(tiles, staging, channels, from, to);
                    }
                    None => stage::fill(to, self.row_elements, zero),
                }
            }
        }
    }

    /// The input row in a staged one of the band that begins with an output row; `None` in the padding.
    fn input_row(&self, geometry: &Geometry, first: usize, staged: usize) -> Option<usize> {
        let window = &geometry.window;
        let padded = if window.stride[0] > self.reach {
            // Rows that windows skip are not staged.
            (first + staged / self.advance) * window.stride[0] + staged % self.advance
        } else {
            first * window.stride[0] + staged
        };
        let row = padded.checked_sub(window.padding[0]);
        row.filter(|&row| row < geometry.input[0])
    }
}

/// Output rows that are computed together.
struct Band {
    first: usize,
    lines: usize,
    /// Rows that the band before staged already.
    kept: usize,
}
