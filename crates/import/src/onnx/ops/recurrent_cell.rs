//! One step of RNN, GRU or LSTM.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::binary::Function as Of2;
use runtime::ops::unary::Function as Of1;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rnn,
    Gru,
    Lstm,
}

impl Kind {
    /// Rows of weights for each hidden unit.
    pub(super) fn gates(self) -> usize {
        match self {
            Kind::Rnn => 1,
            Kind::Gru => 3,
            Kind::Lstm => 4,
        }
    }

    /// Activations where none are given.
    fn activations(self) -> &'static [&'static str] {
        match self {
            Kind::Rnn => &["Tanh"],
            Kind::Gru => &["Sigmoid", "Tanh"],
            Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// What all steps of a direction share.
pub(super) struct Cell {
    kind: Kind,
    hidden: usize,
    recurrence: Item,
    bias: Option<Item>,
    peepholes: Option<Item>,
    activations: Vec<Of1>,
    linear_before_reset: bool,
}

impl Cell {
    /// Reads attributes. The recurrence is `[H, gates H]`, the bias a row.
    pub(super) fn new(
        call: &Call<'_>,
        kind: Kind,
        hidden: usize,
        direction: usize,
        recurrence: Item,
        bias: Option<Item>,
        peepholes: Option<Item>,
    ) -> Result<Self, Refusal> {
        if call.attributes.flag("input_forget")? {
            return Err("coupled input and forget gates are not supported".into());
        }
        if call.attributes.has("activation_alpha") || call.attributes.has("activation_beta") {
            return Err("activations with parameters are not supported".into());
        }
        let defaults = kind.activations();
        let given = call.attributes.texts("activations")?;
        let of_direction = given.chunks(defaults.len()).nth(direction);
        let names = match of_direction {
            Some(names) if names.len() == defaults.len() => names.to_vec(),
            _ => defaults.iter().map(|&name| name.to_owned()).collect(),
        };
        let function = |name: &String| match name.to_ascii_lowercase().as_str() {
            "sigmoid" => Ok(Of1::Sigmoid),
            "tanh" => Ok(Of1::Tanh),
            "relu" => Ok(Of1::Relu),
            _ => Err(format!("the activation '{name}' is not supported")),
        };
        let activations: Vec<Of1> = names.iter().map(function).collect::<Result<_, _>>()?;
        let linear_before_reset = call.attributes.flag("linear_before_reset")?;
        Ok(Cell {
            kind,
            hidden,
            recurrence,
            bias,
            peepholes,
            activations,
            linear_before_reset,
        })
    }

    /// The next hidden state and cell, from the input's share of all gates `[B, gates H]`.
    pub(super) fn step(
        &self,
        call: &mut Call<'_>,
        input: Item,
        hidden: Item,
        cell: Option<Item>,
    ) -> Result<(Item, Option<Item>), Refusal> {
        match (self.kind, cell) {
            (Kind::Lstm, Some(cell)) => self.lstm(call, input, hidden, cell),
            (Kind::Gru, _) => Ok((self.gru(call, input, hidden)?, None)),
            _ => {
                let mut fed = call.product(hidden, self.recurrence)?;
                fed = self.biased(call, fed, self.bias)?;
                let sum = call.binary(Of2::Add, input, fed)?;
                Ok((self.activated(call, 0, sum)?, None))
            }
        }
    }

    fn biased(&self, call: &mut Call<'_>, x: Item, bias: Option<Item>) -> Result<Item, Refusal> {
        match bias {
            Some(bias) => call.binary(Of2::Add, x, bias),
            None => Ok(x),
        }
    }

    fn activated(&self, call: &mut Call<'_>, index: usize, x: Item) -> Result<Item, Refusal> {
        let function = self
            .activations
            .get(index)
            .ok_or("it has too few activations")?;
        call.unary(*function, x)
    }

    /// The columns of gate `index`.
    fn gate(&self, call: &mut Call<'_>, x: Item, index: usize) -> Result<Item, Refusal> {
        call.part(x, 1, index * self.hidden, self.hidden)
    }

    /// Gates in the order of the standard: input, output, forget, cell.
    fn lstm(
        &self,
        call: &mut Call<'_>,
        input: Item,
        hidden: Item,
        cell: Item,
    ) -> Result<(Item, Option<Item>), Refusal> {
        let fed = call.product(hidden, self.recurrence)?;
        let fed = self.biased(call, fed, self.bias)?;
        let sum = call.binary(Of2::Add, input, fed)?;
        let mut gates = Vec::new();
        for index in 0..4 {
            gates.push(self.gate(call, sum, index)?);
        }
        // Peepholes are in the order input, output, forget.
        gates[0] = self.peeped(call, gates[0], cell, 0)?;
        gates[2] = self.peeped(call, gates[2], cell, 2)?;
        let enters = self.activated(call, 0, gates[0])?;
        let stays = self.activated(call, 0, gates[2])?;
        let new = self.activated(call, 1, gates[3])?;
        let kept = call.binary(Of2::Mul, stays, cell)?;
        let added = call.binary(Of2::Mul, enters, new)?;
        let cell = call.binary(Of2::Add, kept, added)?;
        gates[1] = self.peeped(call, gates[1], cell, 1)?;
        let leaves = self.activated(call, 0, gates[1])?;
        let seen = self.activated(call, 2, cell)?;
        Ok((call.binary(Of2::Mul, leaves, seen)?, Some(cell)))
    }

    fn peeped(
        &self,
        call: &mut Call<'_>,
        gate: Item,
        cell: Item,
        index: usize,
    ) -> Result<Item, Refusal> {
        let Some(peepholes) = self.peepholes else {
            return Ok(gate);
        };
        let weights = call.part(peepholes, 0, index * self.hidden, self.hidden)?;
        let seen = call.binary(Of2::Mul, cell, weights)?;
        call.binary(Of2::Add, gate, seen)
    }

    /// Gates in the order of the standard: update, reset, new.
    fn gru(&self, call: &mut Call<'_>, input: Item, hidden: Item) -> Result<Item, Refusal> {
        let split = 2 * self.hidden;
        let columns = |call: &mut Call<'_>, x: Item, new: bool| match new {
            true => call.part(x, 1, split, self.hidden),
            false => call.part(x, 1, 0, split),
        };
        let bias = |call: &mut Call<'_>, new: bool| match (self.bias, new) {
            (Some(bias), true) => call.part(bias, 0, split, self.hidden).map(Some),
            (Some(bias), false) => call.part(bias, 0, 0, split).map(Some),
            (None, _) => Ok(None),
        };
        let recurrence = columns(call, self.recurrence, false)?;
        let fed = call.product(hidden, recurrence)?;
        let for_gates = bias(call, false)?;
        let fed = self.biased(call, fed, for_gates)?;
        let own = columns(call, input, false)?;
        let sum = call.binary(Of2::Add, own, fed)?;
        let gates = self.activated(call, 0, sum)?;
        let (update, reset) = (self.gate(call, gates, 0)?, self.gate(call, gates, 1)?);
        let recurrence = columns(call, self.recurrence, true)?;
        let for_new = bias(call, true)?;
        let fed = if self.linear_before_reset {
            let fed = call.product(hidden, recurrence)?;
            let fed = self.biased(call, fed, for_new)?;
            call.binary(Of2::Mul, reset, fed)?
        } else {
            let kept = call.binary(Of2::Mul, reset, hidden)?;
            let fed = call.product(kept, recurrence)?;
            self.biased(call, fed, for_new)?
        };
        let own = columns(call, input, true)?;
        let sum = call.binary(Of2::Add, own, fed)?;
        let new = self.activated(call, 1, sum)?;
        // `(1 - update) new + update h`.
        let change = call.binary(Of2::Sub, hidden, new)?;
        let kept = call.binary(Of2::Mul, update, change)?;
        call.binary(Of2::Add, new, kept)
    }
}
