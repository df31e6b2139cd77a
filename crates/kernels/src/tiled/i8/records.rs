//! What turns the sums of a block into outputs, packed once in the order in which loops hold the
//! sums: `[lowest weights][rules][records]`, a word for the rule of every block, and a record of four
//! parts of as many words as a block has outputs.
//!
//! | rule | parts |
//! |---|---|
//! | near | bias, 12-bit multiplier, smallest sum, largest sum |
//! | high | bias, multiplier, –, – |
//! | single, double | bias, multiplier, half, shift to the right |
//! | lanes | bias, multiplier, –, shift |
//! | ramp | bias, slope, start, – |
//! | bent | bias, slope, start, start of sums below zero |

use super::Tiles;
use super::pack::channel_of;
use super::ramps::{Floor, Follows, Ramp};
use crate::tiled::plan::{Kind, blocks};
use crate::{Channels, Conv2dConstants, Geometry};
use core::cell::OnceCell;
use format::fixed::{Channel, Requantize, Rounding};

/// Parts of a record.
const PARTS: usize = 4;

/// The most outputs of a block.
const LANES_MAX: usize = 16;

/// How the sums of a block become outputs. All rules give what [`format::fixed`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Rule {
    /// The high word where 32 bits are enough: sums beyond those that give the smallest and the
    /// largest output are limited first, and what is left times 12 bits does not overflow.
    Near = 1,
    /// The high word of 64-bit products.
    High = 2,
    /// One rounding, with shifts of at least 2 to the right.
    Single = 3,
    /// Two roundings, with shifts of at least 2 to the right and sums that are never half way
    /// between two values of the first rounding.
    Double = 4,
    /// Single or double, lane by lane.
    Lanes = 5,
    /// A line in float, proved to round to what single or double give.
    #[cfg(target_arch = "x86_64")]
    Ramp = 6,
    /// Two lines in float, for sums below zero and for others.
    #[cfg(target_arch = "x86_64")]
    Bent = 7,
}

/// The multiplier's shift from which on [`Rule::Near`] serves: products then stay below 2^31.
const NEAR_SHIFT_MIN: u8 = 10;

/// Bits of the word about weights of -128, whose opposite 8 bits do not have: whether there is one,
/// and whether two neighbouring taps of a channel have it, whose products with the lowest input
/// add up to more than 16 bits hold.
const LOWEST: i32 = 1;
const LOWEST_PAIR: i32 = 2;

/// Packed records.
#[derive(Clone, Copy)]
pub(crate) struct Records {
    rules: *const i32,
    blocks: *const i32,
    lanes: usize,
}

impl Records {
    /// The records of a convolution, at an address with room for [`words`].
    pub(crate) fn at<T: Tiles>(address: *const i32, geometry: &Geometry, kind: &Kind) -> Self {
        let count = block_count::<T>(geometry, kind);
        Records {
            rules: address.wrapping_add(1),
            blocks: address.wrapping_add(header_words(count)),
            lanes: T::BLOCK,
        }
    }

    /// Whether a weight is -128.
    ///
    /// # Safety
    ///
    /// There are records.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    #[inline(always)]
    pub(crate) unsafe fn has_lowest_weight(&self) -> bool {
        // SAFETY: the caller's promise: the word before the rules.
        unsafe { self.rules.sub(1).read() & LOWEST != 0 }
    }

    /// Whether the products of taps 0 and 1, 2 and 3 and so on of a depthwise convolution's
    /// channels can be added up in 16 bits, whatever the inputs.
    ///
    /// # Safety
    ///
    /// There are records of a depthwise convolution.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    #[inline(always)]
    pub(crate) unsafe fn adds_pairs(&self) -> bool {
        // SAFETY: the caller's promise: the word before the rules.
        unsafe { self.rules.sub(1).read() & LOWEST_PAIR == 0 }
    }

    /// The rule and the record of a block.
    ///
    /// # Safety
    ///
    /// The convolution has such a block.
    #[inline(always)]
    pub(crate) unsafe fn block(&self, index: usize) -> (Rule, *const i32) {
        // SAFETY: the caller's promise.
        let (rule, record) = unsafe {
            (
                self.rules.add(index).read(),
                self.blocks.add(index * PARTS * self.lanes),
            )
        };
        let rule = match rule {
            1 => Rule::Near,
            2 => Rule::High,
            3 => Rule::Single,
            4 => Rule::Double,
            #[cfg(target_arch = "x86_64")]
            6 => Rule::Ramp,
            #[cfg(target_arch = "x86_64")]
            7 => Rule::Bent,
            _ => Rule::Lanes,
        };
        (rule, record)
    }
}

/// Words before the records: they start at a multiple of 16 bytes.
fn header_words(blocks: usize) -> usize {
    (1 + blocks).next_multiple_of(4)
}

fn block_count<T: Tiles>(geometry: &Geometry, kind: &Kind) -> usize {
    let outputs = geometry.output[2];
    match kind {
        Kind::Depthwise(_) => outputs.div_ceil(T::CHANNELS) * (T::CHANNELS / T::BLOCK),
        _ => {
            let groups = geometry.groups.max(1);
            groups * (outputs / groups).div_ceil(T::BLOCK)
        }
    }
}

/// Words of the records.
pub(crate) fn words<T: Tiles>(geometry: &Geometry, kind: &Kind) -> usize {
    let count = block_count::<T>(geometry, kind);
    header_words(count).saturating_add(count.saturating_mul(PARTS * T::BLOCK))
}

/// The channels of a record, as many as a block has outputs.
type Lanes = [Option<usize>; LANES_MAX];

/// Calls `each` with the channels of every record in the order of its sums.
fn each_record<T: Tiles>(geometry: &Geometry, kind: &Kind, each: impl FnMut(Lanes)) {
    match kind {
        Kind::Depthwise(_) => records_of_channels::<T>(geometry).for_each(each),
        _ => records_of_blocks::<T>(geometry).for_each(each),
    }
}

fn records_of_channels<T: Tiles>(geometry: &Geometry) -> impl Iterator<Item = Lanes> {
    let channels = geometry.output[2];
    (0..channels).step_by(T::CHANNELS).flat_map(move |first| {
        (0..T::CHANNELS).step_by(T::BLOCK).map(move |start| {
            core::array::from_fn(|position| {
                let at = (position < T::BLOCK).then(|| T::sum_at(start + position));
                at.and_then(|at| channel_of::<T>(channels, first, at))
            })
        })
    })
}

fn records_of_blocks<T: Tiles>(geometry: &Geometry) -> impl Iterator<Item = Lanes> {
    let groups = geometry.groups.max(1);
    let outputs = geometry.output[2] / groups;
    (0..groups).flat_map(move |group| {
        blocks(outputs, T::BLOCK).map(move |(first, width)| {
            core::array::from_fn(|position| {
                if position >= width {
                    return None;
                }
                let output = first + T::output_at(position, width);
                (output < outputs).then_some(group * outputs + output)
            })
        })
    })
}

/// What loops sum up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopSums {
    /// What inputs are raised by.
    pub(crate) offset: i32,
    /// How many times the sums they are. Lines take them as they are, other rules divided.
    pub(crate) multiple: i32,
}

/// Packs the records for such sums.
pub(crate) fn records_of<T: Tiles>(
    constants: &Conv2dConstants<'_>,
    kind: &Kind,
    sums: LoopSums,
    records: &mut [u8],
) {
    let geometry = &constants.geometry;
    // A block of a depthwise convolution may have several records, which are to have one rule.
    let together = match kind {
        Kind::Depthwise(_) => T::CHANNELS / T::BLOCK,
        _ => 1,
    };
    let mut packer = Packer {
        constants,
        kind,
        sums,
        common: OnceCell::new(),
        header_words: header_words(block_count::<T>(geometry, kind)),
        records,
    };
    packer.put(0, lowest(constants));
    let mut block = [[None; LANES_MAX]; RECORDS_MAX];
    let mut count = 0;
    each_record::<T>(geometry, kind, |lanes| {
        block[count % together] = lanes;
        count += 1;
        if count % together == 0 {
            packer.pack::<T>(count - together, &block[..together]);
        }
    });
}

/// The most records of a block.
const RECORDS_MAX: usize = 4;

/// The fewest pixels for which lines are worth being looked for: in place of other rules, of which
/// those of 31-bit multipliers take three times as long, and of rules for 12 bits.
const LINE_PIXELS_MIN: usize = 8;
const LINE_PIXELS_MIN_HIGH: usize = 64;

/// Where records are packed.
struct Packer<'a> {
    constants: &'a Conv2dConstants<'a>,
    kind: &'a Kind,
    sums: LoopSums,
    /// The rule of all blocks of a depthwise convolution without lines, once one asks for it.
    common: OnceCell<Rule>,
    header_words: usize,
    records: &'a mut [u8],
}

impl Packer<'_> {
    fn put(&mut self, word: usize, value: i32) {
        if let Some(bytes) = self.records.get_mut(4 * word..4 * word + 4) {
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
    }

    /// The rules and the records of a block.
    fn pack<T: Tiles>(&mut self, first: usize, block: &[Lanes]) {
        let mut numbers = [[[0; PARTS]; LANES_MAX]; RECORDS_MAX];
        let line = self.lines::<T>(block, &mut numbers);
        for (i, (lanes, numbers)) in block.iter().zip(&mut numbers).enumerate() {
            let rule = line.unwrap_or_else(|| self.rule::<T>(lanes));
            self.put(1 + first + i, rule as i32);
            let start = self.header_words + (first + i) * PARTS * T::BLOCK;
            for (position, (lane, numbers)) in lanes[..T::BLOCK].iter().zip(numbers).enumerate() {
                if let Some(channel) = *lane {
                    if line.is_none() {
                        *numbers = record(self.constants, rule, channel);
                    }
                    let excess = excess(self.constants, self.kind, self.sums.offset, channel);
                    numbers[0] = numbers[0].wrapping_sub(excess);
                }
                for (part, &number) in numbers.iter().enumerate() {
                    self.put(start + part * T::BLOCK + position, number);
                }
            }
        }
    }

    /// The rule of a record without lines.
    fn rule<T: Tiles>(&self, lanes: &Lanes) -> Rule {
        let of_all = || {
            rule_of::<T>(
                self.constants,
                self.kind,
                0..self.constants.geometry.output[2],
            )
        };
        match self.kind {
            Kind::Depthwise(_) => *self.common.get_or_init(of_all),
            _ => rule_of::<T>(self.constants, self.kind, lanes.iter().copied().flatten()),
        }
    }

    /// The rule and the records of lines, where all channels of a block have them.
    fn lines<T: Tiles>(
        &self,
        block: &[Lanes],
        numbers: &mut [[[i32; PARTS]; LANES_MAX]; RECORDS_MAX],
    ) -> Option<Rule> {
        let (straight, bent, follows) = T::LINES?;
        let [rows, columns, _] = self.constants.geometry.output;
        let pixels_min = match self.constants.channels {
            Channels::High(_) => LINE_PIXELS_MIN_HIGH,
            Channels::Wide(_) => LINE_PIXELS_MIN,
        };
        if rows * columns < pixels_min {
            return None;
        }
        let mut rule = straight;
        let (lanes, numbers) = (block.as_flattened(), numbers.as_flattened_mut());
        for (position, lane) in lanes.iter().enumerate() {
            let Some(channel) = *lane else { continue };
            // Channels that fill a block once for each pixel are looked at once.
            let same = |&lane: &Option<usize>| lane == Some(channel);
            let earlier = lanes[..position].iter().position(same);
            numbers[position] = match earlier {
                Some(at) => numbers[at],
                None => {
                    let (ramp, bias) = self.ramp(channel, follows)?;
                    if !ramp.is_straight() {
                        rule = bent;
                    }
                    let [slope, start, below] = [ramp.slope, ramp.start, ramp.start_below_zero]
                        .map(|number| number.to_bits() as i32);
                    [bias, slope, start, below]
                }
            };
        }
        Some(rule)
    }

    /// The line and the bias of a channel.
    fn ramp(&self, channel: usize, follows: Follows) -> Option<(Ramp, i32)> {
        let requantize = &self.constants.requantize;
        let [bias, multiplier, _, shift] = record(self.constants, Rule::Lanes, channel);
        let floor = Floor::of(requantize.rounding, multiplier, shift)?;
        let sum_max = sum_max(self.constants, self.kind, channel) + i64::from(bias).abs();
        let multiple = self.sums.multiple;
        let sum_max = match multiple {
            // Sums wrap round until they end.
            1 => sum_max.min(i64::from(i32::MAX)),
            _ if sum_max > i64::from(i32::MAX / multiple) => return None,
            _ => sum_max,
        };
        let ramp = Ramp::of(
            &floor,
            requantize,
            [sum_max.max(1), multiple.into()],
            follows,
        )?;
        Some((ramp, bias.wrapping_mul(multiple)))
    }
}

/// The word about weights of -128, which those of a depthwise convolution may have in pairs.
fn lowest(constants: &Conv2dConstants<'_>) -> i32 {
    let channels = constants.geometry.output[2].max(1);
    let is_pair = |taps: &[i8]| {
        let (first, second) = taps.split_at(channels.min(taps.len()));
        first
            .iter()
            .zip(second)
            .any(|pair| pair == (&i8::MIN, &i8::MIN))
    };
    let has_one = constants.weights.contains(&i8::MIN);
    let has_pair = has_one && constants.weights.chunks(2 * channels).any(is_pair);
    i32::from(has_one) * LOWEST + i32::from(has_pair) * LOWEST_PAIR
}

fn rule_of<T: Tiles>(
    constants: &Conv2dConstants<'_>,
    kind: &Kind,
    mut channels: impl Iterator<Item = usize>,
) -> Rule {
    let requantize = &constants.requantize;
    let mut all = |fits: &dyn Fn(usize) -> bool| channels.all(fits);
    match (constants.channels, requantize.rounding) {
        (Channels::High(_), _) => {
            let [low, high] = limits(requantize);
            let near = requantize.multiplier_shift >= NEAR_SHIFT_MIN && low <= 0 && high >= 0;
            if near { Rule::Near } else { Rule::High }
        }
        (Channels::Wide(_), _) if !T::SHIFTS_LANES => Rule::Lanes,
        (Channels::Wide(words), Rounding::Double) => {
            let fits = |channel| {
                let [bias, multiplier, shift] = wide(words, channel);
                // Sums half way between two values are multiples of this.
                let half_way = 1i64 << (30 - multiplier.trailing_zeros().min(30));
                let sum_max = sum_max(constants, kind, channel) + i64::from(bias).abs();
                multiplier > 0 && (-31..=-2).contains(&shift) && sum_max < half_way
            };
            if all(&fits) {
                Rule::Double
            } else {
                Rule::Lanes
            }
        }
        (Channels::Wide(words), _) => {
            let fits = |channel| {
                let [_, multiplier, shift] = wide(words, channel);
                multiplier >= 0 && (-31..=-2).contains(&shift)
            };
            if all(&fits) {
                Rule::Single
            } else {
                Rule::Lanes
            }
        }
    }
}

/// Limits of an output before the zero point is added.
fn limits(requantize: &Requantize) -> [i32; 2] {
    let zero = i32::from(requantize.zero_point);
    [requantize.min, requantize.max].map(|limit| i32::from(limit) - zero)
}

fn wide(words: &[i32], channel: usize) -> [i32; 3] {
    match words.get(channel * 3..channel * 3 + 3) {
        Some(&[bias, multiplier, shift]) => [bias, multiplier, shift],
        _ => [0; 3],
    }
}

/// The largest magnitude of a channel's sum without its bias.
fn sum_max(constants: &Conv2dConstants<'_>, kind: &Kind, channel: usize) -> i64 {
    let weights = weights_of(constants, kind, channel);
    weights.map(|weight| 128 * i64::from(weight).abs()).sum()
}

/// The weights of a channel.
fn weights_of<'a>(
    constants: &Conv2dConstants<'a>,
    kind: &Kind,
    channel: usize,
) -> impl Iterator<Item = i8> + use<'a> {
    let geometry = &constants.geometry;
    let taps = geometry.taps();
    let (start, step) = match kind {
        Kind::Depthwise(_) => (channel, geometry.output[2]),
        _ => (channel * taps, 1),
    };
    let weights = constants.weights.get(start..).unwrap_or(&[]);
    weights.iter().step_by(step.max(1)).take(taps).copied()
}

/// What the offset of inputs adds to a channel's sums. Sums wrap round, and end within 32 bits.
fn excess(constants: &Conv2dConstants<'_>, kind: &Kind, offset: i32, channel: usize) -> i32 {
    if offset == 0 {
        return 0;
    }
    let sum: i32 = weights_of(constants, kind, channel).map(i32::from).sum();
    sum.wrapping_mul(offset)
}

fn record(constants: &Conv2dConstants<'_>, rule: Rule, channel: usize) -> [i32; PARTS] {
    let requantize = &constants.requantize;
    match constants.channels {
        Channels::High(words) => {
            let Channel { bias, multiplier } =
                Channel::unpack(words.get(channel).copied().unwrap_or(0));
            let bias = bias << requantize.bias_shift.min(11);
            let scaled = i64::from(multiplier) << requantize.multiplier_shift.min(19);
            match rule {
                Rule::Near => {
                    let [low, high] = near_sums(scaled, limits(requantize));
                    [bias, multiplier as i32, low, high]
                }
                _ => [bias, scaled as i32, 0, 0],
            }
        }
        Channels::Wide(words) => {
            let [bias, multiplier, shift] = wide(words, channel);
            match rule {
                Rule::Single | Rule::Double => {
                    let right = -shift - 1;
                    [bias, multiplier, 1 << (right - 1), right]
                }
                _ => [bias, multiplier, 0, shift],
            }
        }
    }
}

/// The largest sum whose output is the lower limit and the smallest whose output is the upper
/// one: `(sum * multiplier + 2^31) >> 32` grows by no more than 1 from sum to sum, as multipliers
/// are below 2^31.
fn near_sums(multiplier: i64, [low, high]: [i32; 2]) -> [i32; 2] {
    if multiplier == 0 {
        return [0, 0];
    }
    // What a product must reach for an output.
    let product = |output: i32| (i64::from(output) << 32) - (1 << 31);
    let below = (product(low + 1) - 1).div_euclid(multiplier);
    let above = -(-product(high)).div_euclid(multiplier);
    [below as i32, above as i32]
}

#[cfg(test)]
mod tests {
    use super::{LOWEST, LOWEST_PAIR, lowest, near_sums};
    use crate::{Channels, Conv2dConstants, Geometry, Window};
    use format::fixed::{Requantize, Rounding, requantize_high};

    /// The word for a 3 x 3 window over two channels.
    fn lowest_of(weights: [[i8; 2]; 9]) -> i32 {
        lowest(&Conv2dConstants {
            geometry: Geometry {
                input: [3, 3, 2],
                output: [1, 1, 2],
                window: Window {
                    kernel: [3, 3],
                    stride: [1, 1],
                    dilation: [1, 1],
                    padding: [0, 0],
                },
                groups: 2,
            },
            weights: weights.as_flattened(),
            channels: Channels::High(&[0, 0]),
            requantize: Requantize {
                rounding: Rounding::High,
                bias_shift: 0,
                multiplier_shift: 0,
                is_plain: false,
                zero_point: 0,
                min: -128,
                max: 127,
            },
        })
    }

    /// Twice 127 * 128 fits 16 bits, and so does 128 * 128 with it, but not twice 128 * 128.
    #[test]
    fn pairs_of_the_lowest_weight_are_told() {
        let mut weights = [[-127, 127]; 9];
        assert_eq!(lowest_of(weights), 0);
        weights[1][0] = -128;
        assert_eq!(lowest_of(weights), LOWEST);
        (weights[2][0], weights[0][1]) = (-128, -128);
        assert_eq!(lowest_of(weights), LOWEST);
        weights[1][1] = -128;
        assert_eq!(lowest_of(weights), LOWEST | LOWEST_PAIR);
    }

    /// 0.5 = 2^31 / 2^32: a sum of 3 is 1.5, which rounds to 2; -5 is -2.5, which rounds to -2.
    #[test]
    fn limits_of_sums_are_the_first_that_reach_the_limits_of_outputs() {
        assert_eq!(near_sums((1 << 31) - (1 << 12), [-2, 2]), [-4, 4]);
        for multiplier in [1, 7, 2048, 3001, 4095] {
            for shift in [10, 12, 19] {
                let scaled = i64::from(multiplier) << shift;
                let output = |sum: i32| requantize_high(sum, scaled as u32);
                for limits in [[-255, 0], [-128, 127], [0, 255], [-3, 100]] {
                    let [below, above] = near_sums(scaled, limits);
                    assert_eq!([output(below), output(above)], limits);
                    assert!(output(below + 1) > limits[0] && output(above - 1) < limits[1]);
                }
            }
        }
    }
}
