//! How a convolution is cut into contiguous runs, and how its input rows are staged.

use crate::Geometry;

/// Kernels keep one pointer per window row on the stack; taller windows run in plain Rust.
pub(crate) const KERNEL_ROWS_MAX: usize = 64;

/// Depthwise loops keep one pointer per tap on the stack; larger windows run in plain Rust.
pub(crate) const DEPTHWISE_TAPS_MAX: usize = 128;

/// Elements behind a staged row that whole vectors may read.
pub(crate) const SLACK: usize = 16;

/// Staging more than this is left to plain Rust: the geometry of a damaged file, most likely.
const STAGED_ELEMENTS_MAX: usize = 1 << 24;

/// Elements of a chunk of pixels, about half the L1 cache.
const CHUNK_ELEMENTS: usize = 8192;

/// Which loop runs a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One pixel, 1 x 1: a vector times a matrix, with the file's weights in place.
    Vector,
    /// 1 x 1 without stride and padding. Pixels are staged in chunks of so many.
    Pointwise(usize),
    /// Every input channel on its own.
    Depthwise(Staging),
    /// Anything else.
    General(Staging),
}

impl Kind {
    /// The loop for a geometry; `None` where only plain Rust will do.
    pub(crate) fn of(geometry: &Geometry) -> Option<Kind> {
        let (input, output) = (&geometry.input, &geometry.output);
        let empty = input.iter().chain(output).any(|&n| n == 0 || n >= 1 << 20);
        let window = &geometry.window;
        let still = [window.kernel, window.stride, window.dilation]
            .iter()
            .any(|pair| pair.contains(&0));
        if empty || still || window.kernel[0] > KERNEL_ROWS_MAX {
            return None;
        }
        if geometry.is_pointwise() {
            let pixels = output[0] * output[1];
            if input[..2] != output[..2] {
                return None;
            }
            let chunk = (CHUNK_ELEMENTS / input[2]).max(12).min(pixels);
            let one = pixels == 1;
            return Some(if one {
                Kind::Vector
            } else {
                Kind::Pointwise(chunk)
            });
        }
        let groups = geometry.groups;
        if groups == 0 || input[2] % groups != 0 || output[2] % groups != 0 {
            return None;
        }
        let staging = Staging::new(geometry)?;
        let depthwise = groups > 1 && groups == input[2];
        if depthwise && geometry.taps() > DEPTHWISE_TAPS_MAX {
            return None;
        }
        Some(if depthwise {
            Kind::Depthwise(staging)
        } else {
            Kind::General(staging)
        })
    }

    /// Staged elements.
    pub(crate) fn staged_elements(&self, geometry: &Geometry) -> usize {
        match self {
            Kind::Vector => geometry.input[2].next_multiple_of(2 * SLACK),
            Kind::Pointwise(chunk) => chunk * geometry.input[2] + SLACK,
            Kind::Depthwise(staging) | Kind::General(staging) => staging.elements(),
        }
    }
}

/// The contiguous runs of elements under a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runs {
    /// Runs in one row of the window.
    pub(crate) per_row: usize,
    /// Elements between their starts.
    pub(crate) apart: usize,
    /// Elements of a run.
    pub(crate) length: usize,
}

impl Runs {
    pub(crate) fn of(geometry: &Geometry) -> Runs {
        let [_, kernel_columns] = geometry.window.kernel;
        let channels = geometry.input[2];
        let groups = geometry.groups.max(1);
        if groups == 1 && geometry.window.dilation[1] == 1 {
            Runs {
                per_row: 1,
                apart: 0,
                length: kernel_columns * channels,
            }
        } else {
            Runs {
                per_row: kernel_columns,
                apart: geometry.window.dilation[1] * channels,
                length: channels / groups,
            }
        }
    }
}

/// Input rows padded on both sides: `[padding row][ring of rows]`, where input row `i` is in
/// slot `i % rows` while a window needs it.
///
/// Rows are staged in ascending order, before the first output row that needs them is written:
/// this is the row contract, and it makes overlapping input and output safe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Staging {
    /// Slots of the ring.
    rows: usize,
    /// Elements between rows.
    pub(crate) row_elements: usize,
    /// Elements of a row without the slack.
    pub(crate) used_elements: usize,
    /// Elements of padding at the left.
    pub(crate) left_elements: usize,
    /// Input columns copied.
    pub(crate) copied_columns: usize,
    /// Staged copies of every input channel: the depth multiplier.
    pub(crate) repeat: usize,
    /// The first input row that is not staged yet.
    next: usize,
}

impl Staging {
    fn new(geometry: &Geometry) -> Option<Staging> {
        let window = &geometry.window;
        let reach = |axis: usize| (window.kernel[axis] - 1).checked_mul(window.dilation[axis]);
        let columns = (geometry.output[1] - 1)
            .checked_mul(window.stride[1])?
            .checked_add(reach(1)? + 1)?;
        let left = window.padding[1].min(columns);
        let depthwise = geometry.groups > 1 && geometry.groups == geometry.input[2];
        let repeat = if depthwise {
            geometry.output[2] / geometry.input[2]
        } else {
            1
        };
        let channels = geometry.input[2].checked_mul(repeat)?;
        let used_elements = columns.checked_mul(channels)?;
        let staging = Staging {
            rows: reach(0)?.checked_add(1)?,
            row_elements: used_elements.checked_add(SLACK)?.next_multiple_of(SLACK),
            used_elements,
            left_elements: left * channels,
            copied_columns: geometry.input[1].min(columns - left),
            repeat,
            next: 0,
        };
        let total = staging
            .rows
            .checked_add(1)?
            .checked_mul(staging.row_elements)?;
        (total <= STAGED_ELEMENTS_MAX).then_some(staging)
    }

    /// Elements of the padding row and the ring.
    pub(crate) fn elements(&self) -> usize {
        (self.rows + 1) * self.row_elements
    }

    /// Calls `stage(start of the slot, input row)` for every row that output row `y` needs and
    /// no row before it did.
    pub(crate) fn advance(
        &mut self,
        geometry: &Geometry,
        y: usize,
        mut stage: impl FnMut(usize, usize),
    ) {
        let window = &geometry.window;
        let start = y * window.stride[0];
        let first = start.saturating_sub(window.padding[0]);
        let end = (start + self.rows)
            .saturating_sub(window.padding[0])
            .min(geometry.input[0]);
        for row in first.max(self.next)..end {
            stage(self.slot(row), row);
        }
        self.next = self.next.max(end);
    }

    fn slot(&self, row: usize) -> usize {
        (1 + row % self.rows) * self.row_elements
    }

    /// The start of the staged row under row `tap` of the window of output row `y`: below
    /// `elements()`, and whole.
    pub(crate) fn start(&self, geometry: &Geometry, y: usize, tap: usize) -> usize {
        let window = &geometry.window;
        let padded = y * window.stride[0] + tap * window.dilation[0];
        match padded.checked_sub(window.padding[0]) {
            Some(row) if row < geometry.input[0] => self.slot(row),
            _ => 0,
        }
    }
}

/// Outputs of a group, rounded up to whole [`blocks`].
pub(crate) fn padded_outputs(geometry: &Geometry) -> usize {
    (geometry.output[2] / geometry.groups.max(1)).next_multiple_of(8)
}

/// The blocks of a group, of no more than `most` outputs, a multiple of 8: first output and width. The
/// last one has as many times 8 as are left.
pub(crate) fn blocks(outputs: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outputs)
        .step_by(most)
        .map(move |first| (first, (outputs - first).next_multiple_of(8).min(most)))
}

/// Cuts `pixels` into tiles of no more than `most`: first pixel and size. The last two are
/// nearly equal, so that none is left with a single pixel. No division: rows are short.
#[inline]
pub(crate) fn tiles(pixels: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    core::iter::from_fn(move || {
        let left = pixels - first;
        let size = if left > most && left < 2 * most {
            left.div_ceil(2)
        } else {
            left.min(most)
        };
        first += size;
        (size > 0).then_some((first - size, size))
    })
}
