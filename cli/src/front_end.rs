//! Front ends as they are written on the command line.

use format::DType;
use runtime::ops::log_mel::{LogMel, Taper};

/// That of MLPerf Tiny's streaming wake word: energies of 64 ms every 32 ms in 40 bands, in
/// decibels per sample, from -52 dB to 12 dB as 0 to 1.
const WAKE_WORD: &str = "frame=1024,hop=512,points=1024,window=hamming,pre-emphasis=0.96875,\
                         bands=40,low=0,high=8000,scale=0.15625,offset=0.3421406,lowest=0,highest=1";

/// Reads `KEY=VALUE,…`, or the name of a front end.
pub(crate) fn parse(text: &str) -> Result<LogMel, String> {
    let text = match text {
        "mlperf-wake-word" => WAKE_WORD,
        other => other,
    };
    let mut front_end = LogMel {
        rate: 16_000.0,
        frame: 400,
        hop: 160,
        points: 0,
        taper: Taper::Hann,
        pre_emphasis: 0.0,
        is_magnitude: false,
        bands: 40,
        range: [20.0, 4_000.0],
        scale: std::f32::consts::LN_10,
        offset: 0.0,
        limits: [-30.0, 30.0],
        coefficients: 0,
        dtype: DType::F32,
    };
    for pair in text.split(',') {
        let (key, value) = pair
            .split_once('=')
            .ok_or("write mlperf-wake-word, or KEY=VALUE,… such as frame=480,hop=320,bands=40")?;
        set(&mut front_end, key.trim(), value.trim())?;
    }
    if front_end.points == 0 {
        front_end.points = front_end.frame.next_power_of_two();
    }
    Ok(front_end)
}

fn set(front_end: &mut LogMel, key: &str, value: &str) -> Result<(), String> {
    let bad = |_| format!("{key} is '{value}', which is no number");
    let real = || value.parse::<f32>().map_err(|_| bad(()));
    let whole = || value.parse::<usize>().map_err(|_| bad(()));
    match key {
        "rate" => front_end.rate = real()?,
        "frame" => front_end.frame = whole()?,
        "hop" => front_end.hop = whole()?,
        "points" => front_end.points = whole()?,
        "pre-emphasis" => front_end.pre_emphasis = real()?,
        "bands" => front_end.bands = whole()?,
        "low" => front_end.range[0] = real()?,
        "high" => front_end.range[1] = real()?,
        "scale" => front_end.scale = real()?,
        "offset" => front_end.offset = real()?,
        "lowest" => front_end.limits[0] = real()?,
        "highest" => front_end.limits[1] = real()?,
        "coefficients" => front_end.coefficients = whole()?,
        "window" => {
            front_end.taper = match value {
                "flat" => Taper::Flat,
                "hann" => Taper::Hann,
                "hamming" => Taper::Hamming,
                _ => return Err("windows are flat, hann and hamming".into()),
            }
        }
        "sum" => {
            front_end.is_magnitude = match value {
                "energy" => false,
                "magnitude" => true,
                _ => return Err("sums are of energy or magnitude".into()),
            }
        }
        _ => {
            return Err(format!(
                "there is no '{key}': keys are rate, frame, hop, points, window, pre-emphasis, \
                 sum, bands, low, high, scale, offset, lowest, highest, coefficients"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_change_what_they_name() {
        let front_end = parse("frame=480,hop=320,coefficients=10,sum=magnitude").unwrap();
        assert_eq!(
            [front_end.frame, front_end.hop, front_end.points],
            [480, 320, 512]
        );
        assert!(front_end.is_magnitude);
        assert_eq!(parse("mlperf-wake-word").unwrap().bands, 40);
        assert!(
            parse("frames=3")
                .unwrap_err()
                .starts_with("there is no 'frames'")
        );
        assert_eq!(
            parse("frame=x").unwrap_err(),
            "frame is 'x', which is no number"
        );
        assert!(parse("spectrum").is_err());
    }
}
