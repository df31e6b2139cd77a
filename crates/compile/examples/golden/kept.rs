//! What is kept from run to run and starts from numbers of the file.

use crate::network::{Network, quantization};
use crate::{Random, Result};
use graph::{DType, Data, ValueId};
use runtime::ops::assign::Assign;
use runtime::ops::history::History;
use runtime::ops::variable::Variable;

const STEPS: Option<(f32, i32)> = Some((0.02, -5));

fn integers(random: &mut Random, count: usize) -> Data {
    Data::I8((0..count).map(|_| random.below(255) as u8 as i8).collect())
}

/// A constant of such integers.
fn start(n: &mut Network, dims: &[u32]) -> Result<ValueId> {
    let data = integers(&mut n.random, dims.iter().product::<u32>() as usize);
    let start = n.constant(dims, data)?;
    n.graph.value_mut(start).quantization = quantization(STEPS);
    Ok(start)
}

/// A history and two variables that are shown, one of which starts from zero points.
pub(crate) fn variables(n: &mut Network) -> Result<()> {
    let x = n.input(DType::I8, &[1, 2, 3], STEPS)?;
    let given = start(n, &[1, 5, 3])?;
    n.show(History { axis: 1, steps: 5 }, &[x, given], STEPS)?;
    for is_started in [true, false] {
        let shape = n.graph.value(x).shape;
        let dtype = DType::I8;
        let variable = n.show(Variable { dtype, shape }, &[], STEPS)?;
        let mut inputs = vec![variable, x];
        if is_started {
            inputs.push(start(n, &[1, 2, 3])?);
        }
        let outputs = n.graph.push("assign", Assign, &inputs)?;
        let kept = *outputs.first().ok_or("an assignment has no output")?;
        n.graph.value_mut(kept).quantization = quantization(STEPS);
    }
    Ok(())
}
