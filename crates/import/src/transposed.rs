//! Transposed convolutions as convolutions: instead of zeros between its pixels, which would all be
//! multiplied, the image gets one convolution that makes for each position the pixels of a whole square
//! of the result as channels ("sub-pixel convolution"). A rearrangement puts them in their places.

/// One axis: how `out[y] = sum of in[i] w[k] over all y + before = i * stride + k` comes from a plain
/// convolution with `stride` results ("phases") for each position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Phases {
    /// Results of each position.
    pub(crate) stride: usize,
    /// Length of the plain convolution's window.
    pub(crate) kernel: usize,
    /// Zeros in front of the input.
    pub(crate) before: usize,
    /// Zeros behind it.
    pub(crate) after: usize,
    /// Elements of the rearranged result that are left out in front.
    pub(crate) crop: usize,
    /// For each phase and each tap of the plain window the tap of the transposed one.
    taps: Vec<Option<usize>>,
}

/// With longer strides phases are too many: most of the result is nothing but the bias.
pub(crate) const LONGEST_STRIDE: usize = 32;

/// What is along one axis of a transposed convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Elements of the whole result that are left out in front.
    pub(crate) before: i64,
}

/// The taps of one phase: the first reads this many elements further on, and is this one of the window;
/// the others follow `stride` apart, each reading one element earlier.
struct Phase {
    ahead: i64,
    first: usize,
    count: usize,
}

impl Spread {
    /// The phases of the result from `crop` elements further in front.
    fn phases(&self, crop: usize) -> Vec<Phase> {
        let stride = self.stride as i64;
        let phase = |r: usize| {
            let place = r as i64 + self.before - crop as i64;
            let first = place.rem_euclid(stride) as usize;
            Phase {
                ahead: place.div_euclid(stride),
                first,
                count: self.kernel.saturating_sub(first).div_ceil(self.stride),
            }
        };
        (0..self.stride).map(phase).collect()
    }

    /// The first and the last element that any phase reads, relative to its position.
    fn reach(phases: &[Phase]) -> [i64; 2] {
        let used = || phases.iter().filter(|phase| phase.count > 0);
        let first = used().map(|phase| phase.ahead + 1 - phase.count as i64);
        let last = used().map(|phase| phase.ahead);
        // Padding cannot be negative.
        [
            first.min().unwrap_or(0).min(0),
            last.max().unwrap_or(0).max(0),
        ]
    }
}

impl Phases {
    /// Of all ways to lay phases over the result the one with the shortest window. Sizes are at least 1,
    /// strides [`LONGEST_STRIDE`] at most.
    pub(crate) fn new(axis: &Spread) -> Self {
        let window = |&crop: &usize| {
            let [first, last] = Spread::reach(&axis.phases(crop));
            last - first
        };
        let crop = (0..axis.stride).min_by_key(window).unwrap_or(0);
        let phases = axis.phases(crop);
        let [first, last] = Spread::reach(&phases);
        let positions = (axis.output + crop).div_ceil(axis.stride) as i64;
        let tap = |phase: &Phase, t: i64| {
            let earlier = usize::try_from(phase.ahead - first - t).ok()?;
            (earlier < phase.count).then(|| phase.first + axis.stride * earlier)
        };
        let taps = phases
            .iter()
            .flat_map(|phase| (0..=last - first).map(move |t| tap(phase, t)))
            .collect();
        Phases {
            stride: axis.stride,
            kernel: (last - first + 1) as usize,
            before: first.unsigned_abs() as usize,
            after: (positions + last - axis.input as i64).max(0) as usize,
            crop,
            taps,
        }
    }

    /// The tap of the transposed window that phase `r` has at tap `t`, if it has one there.
    fn tap(&self, r: usize, t: usize) -> Option<usize> {
        self.taps.get(r * self.kernel + t).copied().flatten()
    }
}

/// The weights `[SH * SW * O, KH, KW, I]` of the plain convolution; `at` gives those of the transposed
/// one for an output, a row, a column and an input.
pub(crate) fn weights<T: Default>(
    [rows, columns]: &[Phases; 2],
    [outputs, inputs]: [usize; 2],
    at: impl Fn([usize; 4]) -> T,
) -> Vec<T> {
    let mut weights = Vec::new();
    for phase in 0..rows.stride * columns.stride {
        let (down, right) = (phase / columns.stride, phase % columns.stride);
        for output in 0..outputs {
            for tap in 0..rows.kernel * columns.kernel {
                let row = rows.tap(down, tap / columns.kernel);
                let column = columns.tap(right, tap % columns.kernel);
                let place = row.zip(column);
                weights.extend((0..inputs).map(|input| match place {
                    Some((row, column)) => at([output, row, column, input]),
                    None => T::default(),
                }));
            }
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition.
    fn transposed(axis: &Spread, input: &[i64], window: &[i64]) -> Vec<i64> {
        let mut output = vec![0; axis.output];
        for (i, x) in input.iter().enumerate() {
            for (k, w) in window.iter().enumerate() {
                let at = (i * axis.stride + k) as i64 - axis.before;
                if let Some(cell) = usize::try_from(at).ok().and_then(|at| output.get_mut(at)) {
                    *cell += x * w;
                }
            }
        }
        output
    }

    fn by_phases(axis: &Spread, input: &[i64], window: &[i64]) -> Vec<i64> {
        let phases = Phases::new(axis);
        let padded = [&vec![0; phases.before], input, &vec![0; phases.after]].concat();
        let pixels = padded.windows(phases.kernel).flat_map(|taps| {
            let phase = |r: usize| {
                let products = taps
                    .iter()
                    .enumerate()
                    .map(|(t, x)| phases.tap(r, t).map_or(0, |k| x * window[k]));
                products.sum::<i64>()
            };
            (0..axis.stride).map(phase).collect::<Vec<_>>()
        });
        pixels.skip(phases.crop).take(axis.output).collect()
    }

    #[test]
    fn phases_make_what_the_definition_makes() {
        let input: Vec<i64> = vec![3, -1, 4, 1, -5];
        let window: Vec<i64> = vec![2, 7, -1, 8, 2, -8, 1];
        for length in 1..=5 {
            for kernel in 1..=7 {
                for stride in 1..=4 {
                    for before in -2..=kernel as i64 {
                        for output in 1..=(length + 2) * stride + kernel {
                            let axis = Spread {
                                input: length,
                                output,
                                kernel,
                                stride,
                                before,
                            };
                            let (input, window) = (&input[..length], &window[..kernel]);
                            let expected = transposed(&axis, input, window);
                            assert_eq!(by_phases(&axis, input, window), expected, "{axis:?}");
                        }
                    }
                }
            }
        }
    }

    /// The usual doublings of images need no longer windows than a share of theirs.
    #[test]
    fn windows_are_short() {
        let kernel = |kernel, before, output| {
            let axis = Spread {
                input: 8,
                output,
                kernel,
                stride: 2,
                before,
            };
            Phases::new(&axis).kernel
        };
        assert_eq!(
            [kernel(2, 0, 16), kernel(3, 1, 16), kernel(4, 1, 16)],
            [1, 2, 2]
        );
    }
}
