//! A layer of long short-term memory (LSTM), step after step, with a state that is kept from run to run:
//! `i, f, o = sigmoid(W x + R h + b)`, `g = tanh(W x + R h + b)`, `c = f c + i g`, `h = o tanh(c)`. Rows
//! of weights and biases are those of all units for the gates i, f, g, o, in this order.
//!
//! | operand | shape | types | quantization |
//! |---|---|---|---|
//! | input | `[B, T, I]`, or `[T, B, I]` where time comes first | int8, f32 | per tensor |
//! | weights | `[4 H, I]` | int8, f32 | one scale for each gate, zero point 0 |
//! | recurrence | `[4 H, H]` | int8, f32 | likewise |
//! | bias | `[4 H]` | int32, f32 | the product of the scales of input and weights |
//! | output | the input's with `H` | int8, f32 | that of the hidden state |
//! | hidden state | `[B, H]`, in the state | int8, f32 | per tensor |
//! | cell | `[B, H]`, in the state | int16, f32 | per tensor, a power of two, zero point 0 |
//!
//! int8: as TensorFlow Lite Micro computes it. Both products of a gate are requantized to Q3.12 of int16
//! and added with saturation, sigmoid and tanh are straight lines between 256 points, and products of
//! gates are requantized once, all by the rounding of the file.

use super::unary::Function;
use super::unary_i16::Curve;
use crate::{Op, Run};
use core::cell::Cell;
use format::fixed::{Rounding, requantize_double, requantize_single};
use format::{DType, Node, Params};
use kernels::memory::In;

/// int8 with a cell of int16.
pub static I8: Op = Op::new(143, "lstm", |node| check(node, DType::I8), run_i8);

/// Float.
pub static F32: Op = Op::new(144, "lstm_f32", |node| check(node, DType::F32), run_f32);

/// Gates of each unit.
const GATES: usize = 4;

/// What a layer runs over.
#[derive(Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    inputs: usize,
    units: usize,
    is_time_first: bool,
}

impl Sizes {
    fn of(node: &Node<'_>, is_time_first: bool) -> Option<Self> {
        let (input, cell) = (node.input(0)?.shape, node.output(2)?.shape);
        let [first, second] = [input.dim(0), input.dim(1)];
        let (steps, batch) = if is_time_first { (first, second) } else { (second, first) };
        let (inputs, units) = (input.dim(2), cell.dim(1));
        Some(Sizes { steps, batch, inputs, units, is_time_first })
    }

    /// The row of a sample in the input and in the output.
    fn row(&self, step: usize, sample: usize) -> usize {
        match self.is_time_first {
            true => step * self.batch + sample,
            false => sample * self.steps + step,
        }
    }
}

fn check(node: &Node<'_>, dtype: DType) -> Option<()> {
    let sizes = Sizes::of(node, node.params().u8() != 0)?;
    let is_integer = dtype == DType::I8;
    let (of_cell, of_bias) =
        if is_integer { (DType::I16, DType::I32) } else { (DType::F32, DType::F32) };
    let inputs = [node.input(0)?, node.input(1)?, node.input(2)?, node.input(3)?];
    let outputs = [node.output(0)?, node.output(1)?, node.output(2)?];
    let types = inputs.map(|tensor| tensor.dtype) == [dtype, dtype, dtype, of_bias]
        && outputs.map(|tensor| tensor.dtype) == [dtype, dtype, of_cell];
    let rows = sizes.units.checked_mul(GATES)?;
    let is = |tensor: &format::Tensor, dims: &[usize]| {
        tensor.shape.rank() == dims.len()
            && dims.iter().enumerate().all(|(axis, &size)| tensor.shape.dim(axis) == size)
    };
    let biases = if is_integer { rows.checked_mul(2)? } else { rows };
    let [input, output] = [inputs[0].shape, outputs[0].shape];
    let state = [sizes.batch, sizes.units];
    let fits = is(&inputs[1], &[rows, sizes.inputs])
        && is(&inputs[2], &[rows, sizes.units])
        && is(&inputs[3], &[biases])
        && is(&outputs[0], &[input.dim(0), input.dim(1), sizes.units])
        && is(&outputs[1], &state)
        && is(&outputs[2], &state);
    let table = if is_integer {
        let table = node.input(4)?;
        table.dtype == DType::U16 && table.shape.elements() == 256
    } else {
        true
    };
    (types && fits && table && input.rank() == 3 && output.rank() == 3).then_some(())
}

/// Computes units of all steps: `unit(row, sample, unit)`, which makes an output and a cell. The outputs
/// of a step become the hidden state once all its units are there.
fn walk<T: Copy>(
    sizes: &Sizes,
    output: &[Cell<T>],
    hidden: &[Cell<T>],
    unit: impl Fn(usize, usize, usize) -> T,
) {
    let units = sizes.units;
    for step in 0..sizes.steps {
        for sample in 0..sizes.batch {
            let row = sizes.row(step, sample);
            let made = output.get(row * units..(row + 1) * units).unwrap_or(&[]);
            for (index, cell) in made.iter().enumerate() {
                cell.set(unit(row, sample, index));
            }
            let kept = hidden.get(sample * units..(sample + 1) * units).unwrap_or(&[]);
            for (to, from) in kept.iter().zip(made) {
                to.set(from.get());
            }
        }
    }
}

/// A multiplier of 31 bits and its shift.
type Factor = (i32, i32);

/// What the integers of a layer need.
struct Factors {
    rounding: Option<Rounding>,
    /// To Q3.12, for the inputs and for the hidden state of each gate.
    gates: [[Factor; GATES]; 2],
    /// Of what stays in the cell, of what enters it, and of what leaves.
    products: [Factor; 3],
    /// The largest cell; 0 where there is no limit.
    most: i16,
    /// Multiplier and shift of the tanh of cells.
    tanh: Factor,
}

impl Factors {
    fn decode(params: &mut Params<'_>) -> Self {
        let rounding = Rounding::from_code(params.u8());
        params.u16();
        let mut factor = || (params.i32(), params.i32().clamp(-31, 30));
        let gates = [(); 2].map(|()| [(); GATES].map(|()| factor()));
        let products = [(); 3].map(|()| factor());
        let tanh = (params.i32(), params.i32() & 31);
        Factors { rounding, gates, products, most: params.i16().max(0), tanh }
    }

    fn scaled(&self, value: i32, (multiplier, shift): Factor) -> i32 {
        match self.rounding {
            Some(Rounding::Double) => requantize_double(value, multiplier, shift),
            _ => requantize_single(value, multiplier, shift),
        }
    }
}

fn to_i16(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

fn dot(weights: &[i8], values: &In<'_, i8>, start: usize) -> i32 {
    let products = weights.iter().enumerate().map(|(i, &weight)| {
        i32::from(weight) * i32::from(values.get(start + i))
    });
    products.fold(0, i32::wrapping_add)
}

fn run_i8(run: &Run<'_>) {
    let mut params = run.node.params();
    let sizes = Sizes::of(&run.node, params.u8() != 0);
    let (Some(sizes), Some(to)) = (sizes, run.node.output(1)) else { return };
    let factors = Factors::decode(&mut params);
    let Sizes { inputs, units, .. } = sizes;
    let input = run.input::<i8>(0);
    let weights = [run.constant::<i8>(1), run.constant::<i8>(2)];
    let (bias, points) = (run.input::<i32>(3), run.constant::<u16>(4));
    let (output, hidden) = (run.output::<i8>(0), run.output::<i8>(1));
    let (cells, before) = (run.output::<i16>(2), In::from_cells(hidden));
    let sigmoid = Curve { points, is_tanh: false, multiplier: 3, shift: 0 };
    let tanh = Curve { is_tanh: true, ..sigmoid };
    let (multiplier, shift) = factors.tanh;
    let of_cell = Curve { multiplier, shift: shift as u32, ..tanh };
    let gate = |index: usize, row: usize, sample: usize, unit: usize| {
        let line = index * units + unit;
        let part = |which: usize, values: &In<'_, i8>, start: usize, length: usize| {
            let all = weights.get(which).copied().unwrap_or(&[]);
            let line_weights = all.get(line * length..(line + 1) * length).unwrap_or(&[]);
            let sum = dot(line_weights, values, start);
            let sum = sum.wrapping_add(bias.get(which * GATES * units + line));
            let factor = factors.gates.get(which).and_then(|gates| gates.get(index));
            to_i16(factors.scaled(sum, factor.copied().unwrap_or_default()))
        };
        let of_input = part(0, &input, row * inputs, inputs);
        of_input.saturating_add(part(1, &before, sample * units, units))
    };
    walk(&sizes, output, hidden, |row, sample, unit| {
        let gate = |index| gate(index, row, sample, unit);
        let [enters, stays, leaves] = [0, 1, 3].map(|index| i32::from(sigmoid.at(gate(index))));
        let new = i32::from(tanh.at(gate(2)));
        let Some(cell) = cells.get(sample * units + unit) else { return 0 };
        let [keep, enter, leave] = factors.products;
        let kept = to_i16(factors.scaled(stays * i32::from(cell.get()), keep));
        let mut next = kept.saturating_add(to_i16(factors.scaled(enters * new, enter)));
        if factors.most > 0 {
            next = next.clamp(-factors.most, factors.most);
        }
        cell.set(next);
        let seen = i32::from(of_cell.at(next));
        let made = factors.scaled(seen * leaves, leave).saturating_add(to.zero_point);
        made.clamp(-128, 127) as i8
    });
}

fn run_f32(run: &Run<'_>) {
    let mut params = run.node.params();
    let Some(sizes) = Sizes::of(&run.node, params.u8() != 0) else { return };
    params.u8();
    params.u16();
    let most = params.f32();
    let Sizes { inputs, units, .. } = sizes;
    let [input, weights, recurrence, bias] = [0, 1, 2, 3].map(|index| run.input::<f32>(index));
    let (output, hidden) = (run.output::<f32>(0), run.output::<f32>(1));
    let (cells, before) = (run.output::<f32>(2), In::from_cells(hidden));
    let gate = |index: usize, row: usize, sample: usize, unit: usize| {
        let line = index * units + unit;
        let of_input = (0..inputs).fold(bias.get(line), |sum, i| {
            sum + weights.get(line * inputs + i) * input.get(row * inputs + i)
        });
        (0..units).fold(of_input, |sum, i| {
            sum + recurrence.get(line * units + i) * before.get(sample * units + i)
        })
    };
    walk(&sizes, output, hidden, |row, sample, unit| {
        let gate = |index, function: Function| function.apply(gate(index, row, sample, unit));
        let [enters, stays, leaves] = [0, 1, 3].map(|index| gate(index, Function::Sigmoid));
        let new = gate(2, Function::Tanh);
        let Some(cell) = cells.get(sample * units + unit) else { return 0.0 };
        let mut next = stays * cell.get() + enters * new;
        if most > 0.0 {
            next = next.max(-most).min(most);
        }
        cell.set(next);
        leaves * Function::Tanh.apply(next)
    });
}

#[cfg(feature = "host")]
pub use host::Lstm;

#[cfg(feature = "host")]
mod host {
    use super::GATES;
    use crate::host::{Data, Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use crate::ops::unary_i16::sigmoid_points;
    use format::fixed::{Rounding, quantize_multiplier};
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a layer of long short-term memory.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Lstm {
        /// Whether the input is `[T, B, I]`.
        pub is_time_first: bool,
        /// The largest magnitude of a cell; 0 where there is no limit.
        pub cell_clip: f32,
    }

    impl Operator for Lstm {
        fn name(&self) -> &'static str {
            "lstm"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            let (recurrence, bias) = (required(inputs, 2)?, required(inputs, 3)?);
            let &[first, second, size] = input.shape.dims() else {
                return Err(std::format!("{} is no sequence of rows", input.shape));
            };
            let (&[rows, columns], &[others, units]) =
                (weights.shape.dims(), recurrence.shape.dims())
            else {
                return Err("its weights are no matrices".into());
            };
            let fits = columns == size
                && u64::from(rows) == u64::from(units) * GATES as u64
                && others == rows
                && bias.shape.dims() == [rows];
            if !fits {
                let (w, r) = (weights.shape, recurrence.shape);
                return Err(std::format!("weights {w} and {r} do not fit {}", input.shape));
            }
            let cell = match input.dtype {
                DType::I8 => DType::I16,
                DType::F32 => DType::F32,
                other => return Err(std::format!("there is no LSTM of {other}")),
            };
            let batch = if self.is_time_first { second } else { first };
            let shape = |dims: &[u32]| Shape::new(dims).ok_or("too many dimensions");
            Ok(std::vec![
                (input.dtype, shape(&[first, second, units])?),
                (input.dtype, shape(&[batch, units])?),
                (cell, shape(&[batch, units])?),
            ])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], _outputs: &[Operand<'_>]) -> u64 {
            let elements = |index| {
                required(inputs, index).map_or(0, |operand| operand.shape.elements() as u64)
            };
            let rows = required(inputs, 0).map_or(0, |input| {
                (input.shape.dim(0) * input.shape.dim(1)) as u64
            });
            rows * (elements(1) + elements(2))
        }

        fn keeps_state(&self, output: usize) -> bool {
            output > 0
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            rounding: Rounding,
        ) -> Result<Lowered, String> {
            let mut params = ParamsWriter::default();
            params.u8(self.is_time_first.into());
            let dtypes: Vec<DType> = inputs.iter().flatten().map(|operand| operand.dtype).collect();
            match dtypes[..] {
                [DType::F32, DType::F32, DType::F32, DType::F32] => {
                    params.u8(0).u16(0).f32(self.cell_clip);
                    let operands = (0..4).map(LoweredOperand::Input).collect();
                    Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
                }
                [DType::I8, DType::I8, DType::I8, DType::I32] => {
                    params.u8(rounding as u8).u16(0);
                    self.lower_integers(inputs, outputs, params)
                }
                _ => Err(std::format!("there is no LSTM of {dtypes:?}")),
            }
        }
    }

    impl Lstm {
        fn lower_integers(
            &self,
            inputs: &[Option<Operand<'_>>],
            outputs: &[Operand<'_>],
            mut params: ParamsWriter,
        ) -> Result<Lowered, String> {
            let (input, weights) = (required(inputs, 0)?, required(inputs, 1)?);
            let (recurrence, bias) = (required(inputs, 2)?, required(inputs, 3)?);
            let [output, hidden, cell] = outputs else {
                return Err("it has three outputs".into());
            };
            if output.affine()? != hidden.affine()? {
                return Err("its output needs the scale and the zero point of its state".into());
            }
            let (of_cell, zero) = cell.affine()?;
            let log2 = f64::from(of_cell).log2();
            if zero != 0 || (log2 - log2.round()).abs() > 1e-3 {
                return Err(std::format!("the scale {of_cell} of its cell is no power of two"));
            }
            let (from, state) = (input.affine()?, hidden.affine()?);
            let mut factor = |real: f64| {
                let (multiplier, shift) = quantize_multiplier(real);
                params.i32(multiplier).i32(shift);
            };
            let units = recurrence.shape.last();
            for (source, weights) in [(from, weights), (state, recurrence)] {
                for scale in scales(weights, units)? {
                    // TensorFlow Lite multiplies these scales in single precision.
                    factor(f64::from(source.0 * scale) * 4096.0);
                }
            }
            let one = 1.0 / 32_768.0;
            factor(one);
            factor(one * one / f64::from(of_cell));
            factor(one * one / f64::from(state.0));
            let (multiplier, shift) = tanh_of_cell(12 + log2.round() as i32)?;
            params.i32(multiplier).i32(shift);
            let most = f64::from(self.cell_clip) / f64::from(of_cell);
            params.i16(most.clamp(0.0, 32_767.0) as i16);
            let mut biases = sums(weights, from.1, Some(bias))?;
            biases.extend(sums(recurrence, state.1, None)?);
            let shape = Shape::new(&[biases.len() as u32]).ok_or("too many dimensions")?;
            let bytes = biases.into_iter().flat_map(i32::to_le_bytes).collect();
            let constant = LoweredOperand::Constant { dtype: DType::I32, shape, bytes };
            let operands = (0..3).map(LoweredOperand::Input).chain([constant, sigmoid_points()?]);
            let operands = operands.collect();
            Ok(Lowered { code: super::I8.code, operands, params: params.finish() })
        }
    }

    /// The scale of each gate's weights, which are symmetric.
    fn scales(weights: &Operand<'_>, units: usize) -> Result<[f32; GATES], String> {
        let quantization = weights.quantization.ok_or("its weights are not quantized")?;
        let scales = core::array::from_fn(|gate| quantization.scale(gate * units));
        let alike = (0..GATES * units).all(|row| {
            scales.get(row / units.max(1)) == Some(&quantization.scale(row))
        });
        match quantization.zero_point == 0 && alike {
            true => Ok(scales),
            false => Err("the weights of a gate are not symmetric with one scale".into()),
        }
    }

    /// Multiplier and shift that bring a cell of `2^-12 2^left` to Q3.12 times 3.
    fn tanh_of_cell(left: i32) -> Result<(i32, i32), String> {
        match left {
            0..=12 => Ok((3 << left, 0)),
            -31..0 => Ok((3, -left)),
            _ => Err("the scale of its cell is out of range".into()),
        }
    }

    /// What the zero point of the values adds to the sums of each row, and the bias.
    fn sums(
        weights: &Operand<'_>,
        zero_point: i32,
        bias: Option<&Operand<'_>>,
    ) -> Result<Vec<i32>, String> {
        let Some(Data::I8(values)) = weights.data else {
            return Err("its weights are computed at run time".into());
        };
        let biases = match bias.map(|bias| bias.data) {
            Some(Some(Data::I32(biases))) => &biases[..],
            None => &[],
            _ => return Err("its biases are computed at run time".into()),
        };
        let rows = values.chunks(weights.shape.last().max(1)).enumerate();
        let sums = rows.map(|(row, weights)| {
            let sum: i32 = weights.iter().map(|&weight| i32::from(weight)).sum();
            let bias = biases.get(row).copied().unwrap_or(0);
            bias.wrapping_sub(sum.wrapping_mul(zero_point))
        });
        Ok(sums.collect())
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Lstm, Sizes};
    use crate::host::{Data, Quantization, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    fn tensor(dims: &[u32], data: Data) -> Tensor {
        Tensor { shape: Shape::new(dims).unwrap(), data }
    }

    const LAYER: Lstm = Lstm { is_time_first: false, cell_clip: 0.0 };

    /// One unit whose gates only depend on biases: half of 1 enters, and half of the cell stays, in
    /// each of two steps.
    #[test]
    fn cells_pass_from_step_to_step() {
        let inputs = |bias: Vec<f32>| {
            [
                Some((tensor(&[1, 2, 1], Data::F32(vec![3.0, -5.0])), None)),
                Some((tensor(&[4, 1], Data::F32(vec![0.0; 4])), None)),
                Some((tensor(&[4, 1], Data::F32(vec![0.0; 4])), None)),
                Some((tensor(&[4], Data::F32(bias)), None)),
            ]
        };
        let made = evaluate(&LAYER, &inputs(vec![0.0, 0.0, 20.0, 20.0]), &[], Rounding::Double);
        let made = made.unwrap();
        assert_eq!(made[2].data, Data::F32(vec![0.75]));
        let Data::F32(outputs) = &made[0].data else { panic!("{}", made[0].data.dtype()) };
        assert!((outputs[0] - 0.5f32.tanh()).abs() < 1e-6);
        assert!((outputs[1] - 0.75f32.tanh()).abs() < 1e-6);
        assert_eq!(made[1].data, Data::F32(outputs[1..].to_vec()));
        let clipped = Lstm { cell_clip: 0.625, ..LAYER };
        let made = evaluate(&clipped, &inputs(vec![0.0, 0.0, 20.0, 20.0]), &[], Rounding::Double);
        assert_eq!(made.unwrap()[2].data, Data::F32(vec![0.625]));
    }

    /// The same in integers: cells in steps of 2^-11, outputs in steps of 2^-7.
    #[test]
    fn int8_cells_pass_from_step_to_step() {
        let scale = |scale| Some(Quantization::per_tensor(scale, 0));
        let of_gates = || Some(Quantization { scales: vec![0.25; 4], zero_point: 0, axis: Some(0) });
        let open = 8 << 12;
        let inputs = [
            Some((tensor(&[1, 2, 1], Data::I8(vec![3, -5])), scale(1.0 / 1024.0))),
            Some((tensor(&[4, 1], Data::I8(vec![0; 4])), of_gates())),
            Some((tensor(&[4, 1], Data::I8(vec![0; 4])), of_gates())),
            Some((tensor(&[4], Data::I32(vec![0, 0, open, open])), None)),
        ];
        let outputs = [scale(1.0 / 128.0), scale(1.0 / 128.0), scale(1.0 / 2048.0)];
        let made = evaluate(&LAYER, &inputs, &outputs, Rounding::Double).unwrap();
        assert_eq!(made[0].data, Data::I8(vec![59, 81]));
        assert_eq!(made[1].data, Data::I8(vec![81]));
        assert_eq!(made[2].data, Data::I16(vec![1536]));
        let other = [outputs[0].clone(), scale(0.5), outputs[2].clone()];
        assert!(evaluate(&LAYER, &inputs, &other, Rounding::Double).is_err());
    }

    #[test]
    fn time_may_come_first() {
        let sizes = Sizes { steps: 3, batch: 2, inputs: 1, units: 1, is_time_first: true };
        assert_eq!(sizes.row(2, 1), 5);
        assert_eq!(Sizes { is_time_first: false, ..sizes }.row(2, 1), 5);
        assert_eq!(Sizes { is_time_first: false, ..sizes }.row(0, 1), 3);
    }
}
