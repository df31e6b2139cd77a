//! Where each element of a resized axis comes from: the formulas of ONNX's Resize.

/// One axis.
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) scale: f64,
    /// Start and end of the region of interest, as parts of the whole.
    pub(super) crop: [f64; 2],
}

/// What is between elements.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Curve {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
    Linear,
    /// With the coefficient `a`.
    Cubic(f32),
}

/// From places in the output to places in the input.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfCropAndResize,
}

impl Coordinates {
    fn place(self, x: usize, axis: &Axis) -> f64 {
        let (x, input) = (x as f64, axis.input as f64);
        let output = axis.scale * input;
        let [start, end] = axis.crop;
        let half = (x + 0.5) / axis.scale - 0.5;
        match self {
            Coordinates::HalfPixel => half,
            Coordinates::HalfPixelSymmetric => {
                input / 2.0 * (1.0 - axis.output as f64 / output) + half
            }
            Coordinates::PytorchHalfPixel if output == 1.0 => -0.5,
            Coordinates::PytorchHalfPixel => half,
            Coordinates::AlignCorners if output == 1.0 => 0.0,
            Coordinates::AlignCorners => x * (input - 1.0) / (output - 1.0),
            Coordinates::Asymmetric => x / axis.scale,
            Coordinates::TfCropAndResize if output == 1.0 => {
                (end - start) * (input - 1.0) / 2.0 + start * (input - 1.0)
            }
            Coordinates::TfCropAndResize => {
                x * (end - start) * (input - 1.0) / (output - 1.0) + start * (input - 1.0)
            }
        }
    }
}

/// Positions and weights, `taps` for each element of the output.
pub(super) struct Table {
    pub(super) taps: usize,
    pub(super) positions: Vec<i32>,
    pub(super) weights: Vec<f32>,
    /// Elements that lie outside the input, for a crop.
    pub(super) outside: Vec<bool>,
}

impl Table {
    pub(super) fn new(
        axis: &Axis,
        curve: Curve,
        coordinates: Coordinates,
        antialias: bool,
        exclude_outside: bool,
    ) -> Self {
        let mut table = Table {
            taps: 1,
            positions: Vec::new(),
            weights: Vec::new(),
            outside: Vec::new(),
        };
        let last = axis.input.saturating_sub(1) as i64;
        for x in 0..axis.output {
            let place = coordinates.place(x, axis);
            let is_crop = coordinates == Coordinates::TfCropAndResize;
            let beyond = place < 0.0 || place > last as f64;
            table.outside.push(is_crop && beyond);
            // A ratio of 1, not 0, on an element: the left one is preferred.
            let ratio = match place - place.floor() {
                0.0 => 1.0,
                ratio => ratio,
            };
            let scale = if antialias { axis.scale.min(1.0) } else { 1.0 };
            let mut weights = curve.weights(ratio, scale);
            let first = place.ceil() as i64 - weights.len() as i64 / 2;
            if exclude_outside {
                for (i, weight) in weights.iter_mut().enumerate() {
                    let at = first + i as i64;
                    *weight *= f64::from((0..=last).contains(&at));
                }
            }
            let sum: f64 = weights.iter().sum();
            let pairs = (first..).map(|at| at.clamp(0, last) as i32).zip(weights);
            let is_nearest = !matches!(curve, Curve::Linear | Curve::Cubic(_));
            // The nearest is the only one that counts.
            let pairs: Vec<(i32, f64)> = pairs.filter(|pair| !is_nearest || pair.1 > 0.0).collect();
            table.taps = pairs.len();
            table.positions.extend(pairs.iter().map(|pair| pair.0));
            table
                .weights
                .extend(pairs.iter().map(|pair| (pair.1 / sum) as f32));
        }
        table
    }

    /// Whether the table changes nothing.
    pub(super) fn is_identity(&self, input: usize) -> bool {
        let count = self.positions.len() / self.taps.max(1);
        let own = |(x, (positions, weights)): (usize, (&[i32], &[f32]))| {
            let of = |(&at, &weight): (&i32, &f32)| weight == 0.0 || at as usize == x;
            positions.iter().zip(weights).all(of)
        };
        let taps = self.taps.max(1);
        let rows = self.positions.chunks(taps).zip(self.weights.chunks(taps));
        count == input && rows.enumerate().all(own)
    }
}

impl Curve {
    /// Weights of the elements round a place `ratio` behind the one on its left. A scale below 1
    /// stretches the curve, so that no element is skipped.
    fn weights(self, ratio: f64, scale: f64) -> Vec<f64> {
        let chosen = |right: bool| vec![f64::from(!right), f64::from(right)];
        let on_element = ratio == 1.0;
        match self {
            Curve::RoundPreferFloor => chosen(ratio > 0.5),
            Curve::RoundPreferCeil => chosen(ratio >= 0.5),
            Curve::Floor => chosen(on_element),
            Curve::Ceil => chosen(true),
            Curve::Linear => spread(ratio, scale, 1.0, |x| (1.0 - x).clamp(0.0, 1.0)),
            Curve::Cubic(a) => {
                let a = f64::from(a);
                spread(ratio, scale, 2.0, |x| match x {
                    ..=1.0 => (a + 2.0) * x * x * x - (a + 3.0) * x * x + 1.0,
                    1.0..2.0 => a * x * x * x - 5.0 * a * x * x + 8.0 * a * x - 4.0 * a,
                    _ => 0.0,
                })
            }
        }
    }
}

/// A curve that reaches `reach` to both sides, stretched by `1 / scale`.
fn spread(ratio: f64, scale: f64, reach: f64, curve: impl Fn(f64) -> f64) -> Vec<f64> {
    let start = (-reach / scale).floor() as i64 + 1;
    let weights: Vec<f64> = (start..2 - start)
        .map(|i| curve((scale * (i as f64 - ratio)).abs()))
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::{Axis, Coordinates, Curve, Table};

    fn table(input: usize, output: usize, curve: Curve, antialias: bool) -> Table {
        let scale = output as f64 / input as f64;
        let crop = [0.0, 1.0];
        let axis = Axis {
            input,
            output,
            scale,
            crop,
        };
        Table::new(&axis, curve, Coordinates::HalfPixel, antialias, false)
    }

    #[test]
    fn halves_round_down_or_up() {
        let floor = table(4, 2, Curve::RoundPreferFloor, false);
        assert_eq!((floor.taps, floor.positions), (1, vec![0, 2]));
        let ceil = table(4, 2, Curve::RoundPreferCeil, false);
        assert_eq!(ceil.positions, [1, 3]);
        assert!(table(3, 3, Curve::Linear, false).is_identity(3));
    }

    #[test]
    fn smaller_images_take_all_elements() {
        let plain = table(4, 2, Curve::Linear, false);
        assert_eq!(plain.positions, [0, 1, 2, 3]);
        assert_eq!(plain.weights, [0.5; 4]);
        let smooth = table(4, 2, Curve::Linear, true);
        assert_eq!(
            (smooth.taps, &smooth.positions[..4]),
            (4, &[0, 0, 1, 2][..])
        );
        assert_eq!(smooth.weights[..4], [0.125, 0.375, 0.375, 0.125]);
    }
}
