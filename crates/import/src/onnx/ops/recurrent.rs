//! RNN, GRU and LSTM: their steps one after the other, as nodes of their own.

use super::recurrent_cell::{Cell, Kind};
use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::binary::Function as Of2;

/// Longer sequences are refused: every step becomes nodes.
const STEPS: usize = 512;

/// Sizes of the operands.
struct Sizes {
    steps: usize,
    batch: usize,
    hidden: usize,
    directions: usize,
}

/// The hidden state after every step `[1, B, H]`, and the last states.
struct Direction {
    states: Vec<Item>,
    hidden: Item,
    cell: Option<Item>,
}

pub(super) fn import(call: &mut Call<'_>, kind: Kind) -> Result<Vec<Item>, Refusal> {
    let batch_first = call.attributes.flag("layout")?;
    let mut x = call.float(0)?;
    if call.shape(x).rank() != 3 {
        return Err(format!("{} is no batch of sequences", call.shape(x)).into());
    }
    if batch_first {
        x = call.transpose(x, vec![1, 0, 2])?;
    }
    let sizes = checked(call, x, kind)?;
    let reverse = match call.attributes.text("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(format!("the direction '{other}' is not known").into()),
    };
    if reverse.len() != sizes.directions {
        let reason = format!("its weights are for {} directions", sizes.directions);
        return Err(reason.into());
    }
    let mut directions = Vec::new();
    for (index, &reverse) in reverse.iter().enumerate() {
        directions.push(direction(
            call,
            kind,
            x,
            &sizes,
            index,
            reverse,
            batch_first,
        )?);
    }
    outputs(call, &sizes, directions, batch_first)
}

fn checked(call: &Call<'_>, x: Item, kind: Kind) -> Result<Sizes, Refusal> {
    let (w, r) = (call.float(1)?, call.float(2)?);
    let (x, w, r) = (call.shape(x), sizes(&call.shape(w)), sizes(&call.shape(r)));
    let (&[directions, rows, inputs], &[_, _, hidden]) = (&w[..], &r[..]) else {
        return Err(format!("its weights {w:?} and {r:?} do not fit {x}").into());
    };
    let fits =
        rows == kind.gates() * hidden && inputs == x.dim(2) && r == [directions, rows, hidden];
    if !fits {
        return Err(format!("its weights {w:?} and {r:?} do not fit {x}").into());
    }
    let steps = x.dim(0);
    if steps > STEPS {
        let reason = format!("has {steps} steps, more than {STEPS}");
        return Err(Refusal::new(reason, "export it for shorter sequences"));
    }
    if call.attributes.has("clip") {
        return Err("clipped gates are not supported".into());
    }
    if let Some(lengths) = call.optional_constant(4, "sequence lengths")?
        && lengths
            .data
            .to_i64()?
            .iter()
            .any(|&length| length != steps as i64)
    {
        return Err("sequences of different lengths are not supported".into());
    }
    Ok(Sizes {
        steps,
        batch: x.dim(1),
        hidden,
        directions,
    })
}

/// Part `index` of the first axis of an operand, which goes.
fn of_direction(
    call: &mut Call<'_>,
    operand: usize,
    index: usize,
) -> Result<Option<Item>, Refusal> {
    if call.input(operand).is_none() {
        return Ok(None);
    }
    let item = call.float(operand)?;
    let dims = sizes(&call.shape(item));
    if dims.len() < 2 || index >= dims[0] {
        return Err(format!("operand {operand} has no direction {index}").into());
    }
    let part = call.part(item, 0, index, 1)?;
    Ok(Some(call.reshape(part, &dims[1..])?))
}

/// A state to begin with, zeros where it is left out.
fn state(
    call: &mut Call<'_>,
    operand: usize,
    index: usize,
    sizes: &Sizes,
    batch_first: bool,
) -> Result<Item, Refusal> {
    let dims = [sizes.batch, sizes.hidden];
    let Some(item) = call.input(operand) else {
        call.room_for(sizes.batch.checked_mul(sizes.hidden))?;
        return call.floats(&dims, vec![0.0; sizes.batch * sizes.hidden]);
    };
    let part = call.part(item, usize::from(batch_first), index, 1)?;
    call.reshape(part, &dims)
}

fn direction(
    call: &mut Call<'_>,
    kind: Kind,
    x: Item,
    sizes: &Sizes,
    index: usize,
    reverse: bool,
    batch_first: bool,
) -> Result<Direction, Refusal> {
    let (gates, hidden) = (kind.gates() * sizes.hidden, sizes.hidden);
    let w = of_direction(call, 1, index)?.ok_or("its weights are missing")?;
    let r = of_direction(call, 2, index)?.ok_or("its recurrence is missing")?;
    let (w, r) = (
        call.transpose(w, vec![1, 0])?,
        call.transpose(r, vec![1, 0])?,
    );
    let bias = of_direction(call, 3, index)?;
    let biases = match bias {
        Some(bias) if sizes_of(call, bias) == [2 * gates] => Some([
            call.part(bias, 0, 0, gates)?,
            call.part(bias, 0, gates, gates)?,
        ]),
        Some(bias) => return Err(format!("its bias {} does not fit", call.shape(bias)).into()),
        None => None,
    };
    let peepholes = match kind {
        Kind::Lstm => of_direction(call, 7, index)?,
        _ => None,
    };
    // The inputs of all steps at once.
    let inputs = call.shape(x).dim(2);
    let rows = call.reshape(x, &[sizes.steps * sizes.batch, inputs])?;
    let mut fed = call.product(rows, w)?;
    if let Some([bias, _]) = biases {
        fed = call.binary(Of2::Add, fed, bias)?;
    }
    let recurrent_bias = biases.map(|[_, bias]| bias);
    let cell = Cell::new(call, kind, hidden, index, r, recurrent_bias, peepholes)?;
    let mut h = state(call, 5, index, sizes, batch_first)?;
    let mut c = match kind {
        Kind::Lstm => Some(state(call, 6, index, sizes, batch_first)?),
        _ => None,
    };
    let mut states = Vec::new();
    for step in 0..sizes.steps {
        let at = if reverse {
            sizes.steps - 1 - step
        } else {
            step
        };
        let now = call.part(fed, 0, at * sizes.batch, sizes.batch)?;
        (h, c) = cell.step(call, now, h, c)?;
        states.push(call.reshape(h, &[1, sizes.batch, hidden])?);
    }
    if reverse {
        states.reverse();
    }
    Ok(Direction {
        states,
        hidden: h,
        cell: c,
    })
}

fn sizes_of(call: &Call<'_>, item: Item) -> Vec<usize> {
    sizes(&call.shape(item))
}

/// `Y` as `[T, D, B, H]` and the last states as `[D, B, H]`, or with the batch first.
fn outputs(
    call: &mut Call<'_>,
    sizes: &Sizes,
    directions: Vec<Direction>,
    batch_first: bool,
) -> Result<Vec<Item>, Refusal> {
    let Sizes {
        steps,
        batch,
        hidden,
        ..
    } = *sizes;
    let mut all = Vec::new();
    for direction in &directions {
        let sequence = call.joined(&direction.states, 0)?;
        all.push(call.reshape(sequence, &[steps, 1, batch, hidden])?);
    }
    let mut y = call.joined(&all, 1)?;
    if batch_first {
        y = call.transpose(y, vec![2, 0, 1, 3])?;
    }
    let mut last = |states: Vec<Item>| {
        let parts = states
            .into_iter()
            .map(|state| call.reshape(state, &[1, batch, hidden]));
        let parts: Vec<Item> = parts.collect::<Result<_, _>>()?;
        let joined = call.joined(&parts, 0)?;
        match batch_first {
            true => call.transpose(joined, vec![1, 0, 2]),
            false => Ok(joined),
        }
    };
    let h = last(
        directions
            .iter()
            .map(|direction| direction.hidden)
            .collect(),
    )?;
    let cells: Option<Vec<Item>> = directions.iter().map(|direction| direction.cell).collect();
    let mut items = vec![y, h];
    if let Some(cells) = cells {
        items.push(last(cells)?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, text};

    /// One number in, one unit, weights of 1: `h = tanh(x + h)`.
    #[test]
    fn steps_pass_their_state_on() {
        let source = || {
            let source = Source::new(14).input(&[2, 1, 1], &[0.5, -0.25]);
            source
                .constant(&[1, 1, 1], &[1.0])
                .constant(&[1, 1, 1], &[1.0])
        };
        let (shape, values) = source().apply("RNN", vec![int("hidden_size", 1)]).run();
        let first = 0.5f32.tanh();
        assert_eq!((shape.as_str(), values.len()), ("2x1x1x1", 2));
        assert!((values[1] - (first - 0.25).tanh()).abs() < 1e-6);
        let backwards = source()
            .apply("RNN", vec![text("direction", "reverse")])
            .run()
            .1;
        let last = (-0.25f32).tanh();
        assert!((backwards[0] - (0.5 + last).tanh()).abs() < 1e-6);
        let two = source().apply("RNN", vec![text("direction", "bidirectional")]);
        assert!(two.refusal().contains("for 1 directions"));
    }

    /// With all weights 0 the gates are 1/2: an LSTM halves its cell, a GRU its state.
    #[test]
    fn gates_let_half_through() {
        let zeros = |operator: &str, gates: i64| {
            let weights = vec![0.0; gates as usize];
            let source = Source::new(14).input(&[1, 1, 1], &[3.0]);
            let source = source
                .constant(&[1, gates, 1], &weights)
                .constant(&[1, gates, 1], &weights);
            let source = source.absent().absent().constant(&[1, 1, 1], &[2.0]);
            let source = match operator {
                "LSTM" => source.constant(&[1, 1, 1], &[4.0]),
                _ => source,
            };
            source.apply(operator, vec![]).run().1[0]
        };
        assert!((zeros("LSTM", 4) - 0.5 * 2f32.tanh()).abs() < 1e-6);
        assert_eq!(zeros("GRU", 3), 1.0);
    }
}
