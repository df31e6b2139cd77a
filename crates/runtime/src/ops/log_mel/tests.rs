//! The fixed-point front end against its definition in double precision.

use super::{LogMel, Taper};
use crate::host::{Data, Quantization, Tensor, evaluate};
use format::fixed::Rounding;
use format::{DType, Shape};
use std::f64::consts::{PI, TAU};
use std::vec;
use std::vec::Vec;

fn front_end() -> LogMel {
    LogMel {
        rate: 16_000.0,
        frame: 200,
        hop: 100,
        points: 256,
        taper: Taper::Hamming,
        pre_emphasis: 0.968_75,
        is_magnitude: false,
        bands: 20,
        range: [20.0, 8_000.0],
        scale: 10.0,
        offset: 0.0,
        limits: [-60.0, 60.0],
        coefficients: 0,
        dtype: DType::F32,
    }
}

/// Two tones over noise.
fn sound(samples: usize) -> Vec<i16> {
    let mut seed = 1u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from((seed >> 16) as i16) * 0.02
    };
    let tone = |i: usize, hertz: f64| (TAU * hertz * i as f64 / 16_000.0).sin();
    let value = |i| 9_000.0 * tone(i, 700.0) + 3_000.0 * tone(i, 3_100.0);
    (0..samples).map(|i| (value(i) + noise()) as i16).collect()
}

/// The definition, in double precision.
fn expected(end: &LogMel, sound: &[i16], frames: usize) -> Vec<f64> {
    let mel = |hertz: f64| 1127.0 * (hertz / 700.0).ln_1p();
    let [low, high] = end.range.map(|hertz| mel(f64::from(hertz)));
    let width = (high - low) / (end.bands + 1) as f64;
    let sample = |i: usize| f64::from(sound[i]) / 32_768.0;
    let mut all = Vec::new();
    for frame in 0..frames {
        let at = |i: usize| {
            let i = frame * end.hop + i;
            sample(i + 1) - f64::from(end.pre_emphasis) * sample(i)
        };
        let taper = |i: usize| match end.taper {
            Taper::Flat => 1.0,
            Taper::Hann => 0.5 - 0.5 * (TAU * i as f64 / end.frame as f64).cos(),
            Taper::Hamming => 0.54 - 0.46 * (TAU * i as f64 / (end.frame - 1) as f64).cos(),
        };
        let values: Vec<f64> = (0..end.frame).map(|i| at(i) * taper(i)).collect();
        let energy = |k: usize| {
            let angle = |i: usize| TAU * (k * i) as f64 / end.points as f64;
            let part = |f: fn(f64) -> f64| -> f64 {
                values.iter().enumerate().map(|(i, x)| x * f(angle(i))).sum()
            };
            let magnitude = part(f64::cos).hypot(part(f64::sin));
            if end.is_magnitude { magnitude } else { magnitude * magnitude }
        };
        let energies: Vec<f64> = (0..=end.points / 2).map(energy).collect();
        let band = |band: usize| {
            let middle = low + width * (band + 1) as f64;
            let weight = |k: usize| {
                let hertz = k as f64 * 16_000.0 / end.points as f64;
                (1.0 - (mel(hertz) - middle).abs() / width).max(0.0)
            };
            let sum: f64 = (1..=end.points / 2).map(|k| energies[k] * weight(k)).sum();
            let value = f64::from(end.scale) * sum.log10() + f64::from(end.offset);
            value.max(f64::from(end.limits[0])).min(f64::from(end.limits[1]))
        };
        let bands: Vec<f64> = (0..end.bands).map(band).collect();
        let cosine = |i: usize, j: usize| {
            let n = end.bands as f64;
            (2.0 / n).sqrt() * (PI / n * i as f64 * (j as f64 + 0.5)).cos()
        };
        match end.coefficients {
            0 => all.extend(bands),
            count => all.extend((0..count).map(|i| -> f64 {
                bands.iter().enumerate().map(|(j, x)| x * cosine(i, j)).sum()
            })),
        }
    }
    all
}

fn given(end: &LogMel, sound: Vec<i16>, output: &[Option<Quantization>]) -> Data {
    let shape = Shape::new(&[1, sound.len() as u32]).unwrap();
    let input = [Some((Tensor { shape, data: Data::I16(sound) }, None))];
    evaluate(end, &input, output, Rounding::High).unwrap().remove(0).data
}

fn agrees(end: &LogMel, error: f64) {
    let sound = sound(end.samples(3));
    let expected = expected(end, &sound, 3);
    let Data::F32(given) = given(end, sound, &[]) else { panic!("not real") };
    assert_eq!(given.len(), expected.len());
    for (i, (a, b)) in given.iter().zip(&expected).enumerate() {
        assert!((f64::from(*a) - b).abs() < error, "{i}: {a} instead of {b}");
    }
}

#[test]
fn logarithms_are_those_of_the_definition() {
    agrees(&front_end(), 0.02);
    agrees(&LogMel { taper: Taper::Hann, pre_emphasis: 0.0, ..front_end() }, 0.02);
    agrees(&LogMel { is_magnitude: true, ..front_end() }, 0.02);
}

#[test]
fn coefficients_are_those_of_the_definition() {
    agrees(&LogMel { coefficients: 10, taper: Taper::Flat, ..front_end() }, 0.05);
}

#[test]
fn bytes_are_the_nearest_steps() {
    let end = LogMel { dtype: DType::I8, ..front_end() };
    let sound = sound(end.samples(3));
    let expected = expected(&end, &sound, 3);
    let quantized = vec![Some(Quantization::per_tensor(0.5, 3))];
    let Data::I8(given) = given(&end, sound, &quantized) else { panic!("not int8") };
    for (a, b) in given.iter().zip(&expected) {
        let steps = (b / 0.5).round() + 3.0;
        assert!((f64::from(*a) - steps.clamp(-128.0, 127.0)).abs() <= 1.0, "{a} {steps}");
    }
}

#[test]
fn silence_is_the_lowest_limit() {
    let end = front_end();
    let Data::F32(given) = given(&end, vec![0; end.samples(1)], &[]) else { panic!() };
    assert_eq!(given, [-60.0; 20]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |end: LogMel, samples: usize| {
        let shape = Shape::new(&[1, samples as u32]).unwrap();
        let data = Data::I16(vec![0; samples]);
        let input = [Some((Tensor { shape, data }, None))];
        evaluate(&end, &input, &[], Rounding::High).is_err()
    };
    assert!(!refused(front_end(), 301));
    assert!(refused(front_end(), 302));
    assert!(refused(LogMel { points: 100, ..front_end() }, 301));
    assert!(refused(LogMel { range: [9_000.0, 100.0], ..front_end() }, 301));
    assert!(refused(LogMel { coefficients: 21, ..front_end() }, 301));
}
