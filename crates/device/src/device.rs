//! A compact model on a board, as the evaluator sees it.

use crate::{Board, Client, DeviceInfo, Error, ImageSizes, Images, Link, Place, Qemu, Serial};
use evaluate::layout::{decode, encode, to_caller, to_tensor};
use evaluate::{Facts, Input, Output, Predict, PredictError, Prediction, signature};
use format::meta::{Meta, Port};
use format::{Model, Reason, Tensor};
use runtime::host::{AlignedBytes, node_macs};

/// Where an input or an output is, and in which order the caller has it.
#[derive(Debug)]
struct Slot {
    tensor: Tensor,
    axes: Vec<u8>,
}

/// A compact model on a board.
#[derive(Debug)]
pub struct Device {
    name: String,
    /// Present where the counter counts instructions.
    emulated: Option<Board>,
    info: DeviceInfo,
    client: Client<Box<dyn Link>>,
    inputs: Vec<Input>,
    input_slots: Vec<Slot>,
    outputs: Vec<Output>,
    output_slots: Vec<Slot>,
    nodes: u16,
    facts: Facts,
    keeps_state: bool,
}

fn slots<'m>(
    ports: &[Port],
    tensor: impl Fn(usize) -> Option<Tensor> + 'm,
) -> Result<Vec<Slot>, Error> {
    let slot = |(index, port): (usize, &Port)| {
        let missing = format::Error::new(Reason::Port, index);
        Ok(Slot {
            tensor: tensor(index).ok_or(missing)?,
            axes: port.axes.clone(),
        })
    };
    ports.iter().enumerate().map(slot).collect()
}

/// A device whose firmware runs.
struct Started {
    link: Box<dyn Link>,
    emulated: Option<Board>,
    /// Instructions and constants of the image, where it is known which image runs.
    code_bytes: Option<u64>,
    /// Whether the model is in the device's memory already.
    is_stored: bool,
}

fn start(place: Place, model: &[u8], images: &Images) -> Result<Started, Error> {
    match place {
        Place::Emulated(board) => {
            let image = images.find(&board)?;
            Ok(Started {
                code_bytes: Some(ImageSizes::of(&image)?.code_bytes),
                link: Box::new(Qemu::start(&board, &image, model)?),
                emulated: Some(board),
                is_stored: true,
            })
        }
        Place::Serial { port, baud } => Ok(Started {
            code_bytes: None,
            link: Box::new(Serial::open(&port, baud)?),
            emulated: None,
            is_stored: false,
        }),
    }
}

impl Device {
    /// Opens the device that `spec` names: starts the emulator of `qemu:mps2-an386` with the
    /// board's image from `images` and the model, or sends the model to the board at
    /// `serial:/dev/ttyACM0@115200`. The model runs once, so that the depth of the stack is known.
    pub fn open(spec: &str, model: &[u8], images: &Images) -> Result<Self, Error> {
        let place = Place::parse(spec)?;
        let file = AlignedBytes::copy_of(model);
        let view = Model::new(file.bytes())?;
        let meta = Meta::of(&view)?;
        let (inputs, outputs) = signature(&meta, &view);
        let macs: u64 = view.nodes().map(|node| node_macs(&node)).sum();
        let started = start(place, model, images)?;
        let (mut client, info) = Client::connect(started.link)?;
        let loaded = if started.is_stored {
            client.use_stored(model.len())?
        } else {
            client.load(model)?
        };
        client.run()?;
        client.reset()?;
        let stats = client.stats()?;
        let ram_bytes = stats.memory_bytes.saturating_add(stats.session_bytes);
        let mut facts = vec![
            ("bytes", model.len() as f64),
            ("ram_bytes", f64::from(ram_bytes)),
            ("macs", macs as f64),
            ("nodes", f64::from(loaded.nodes)),
            ("stack_bytes", f64::from(stats.stack_used_bytes)),
        ];
        facts.extend(started.code_bytes.map(|bytes| ("code_bytes", bytes as f64)));
        let kind = spec.split_once(':').map_or(spec, |(kind, _)| kind);
        Ok(Device {
            name: format!("{kind}:{} ({})", info.board, info.kernels),
            emulated: started.emulated,
            info,
            client,
            input_slots: slots(&meta.inputs, |index| view.input(index))?,
            output_slots: slots(&meta.outputs, |index| view.output(index))?,
            inputs,
            outputs,
            nodes: loaded.nodes,
            facts,
            keeps_state: view.state_bytes() > 0,
        })
    }

    /// What the device says of itself: its kernels, its memory.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// What each node takes, in the order of the plan, with the inputs of the last prediction as
    /// far as the plan has left them: instructions in an emulator, else ticks of
    /// [`DeviceInfo::clock_hz`]. State that is kept between runs goes on.
    pub fn profile(&mut self) -> Result<Vec<u64>, Error> {
        let ticks = self.client.profile(self.nodes)?.into_iter().map(u64::from);
        Ok(match &self.emulated {
            Some(board) => ticks.map(|ticks| board.instructions(ticks)).collect(),
            None => ticks.collect(),
        })
    }

    /// Sets the state that is kept between runs to its start.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.client.reset()
    }

    fn set_inputs(&mut self, inputs: &[&[f32]]) -> Result<(), Error> {
        for (index, (slot, signature)) in self.input_slots.iter().zip(&self.inputs).enumerate() {
            let wrong = |reason: String| Error::Input {
                name: signature.name.clone(),
                reason,
            };
            let missing = || wrong("has no values".into());
            let values = inputs.get(index).ok_or_else(missing)?;
            let elements = slot.tensor.shape.elements();
            if values.len() != elements {
                let reason = format!("takes {elements} values, not {}", values.len());
                return Err(wrong(reason));
            }
            let ordered = to_tensor(values, &signature.shape, &slot.axes);
            let bytes = encode(&slot.tensor, &ordered)
                .ok_or_else(|| wrong(format!("holds no real numbers but {}", slot.tensor.dtype)))?;
            self.client.set_input(port_index(index)?, &bytes)?;
        }
        Ok(())
    }

    fn run(&mut self, inputs: &[&[f32]]) -> Result<Prediction, Error> {
        self.set_inputs(inputs)?;
        let ticks = self.client.run()?;
        let mut prediction = Prediction {
            instructions: self
                .emulated
                .as_ref()
                .map(|board| board.instructions(ticks)),
            ..Prediction::default()
        };
        for (index, (slot, signature)) in self.output_slots.iter().zip(&self.outputs).enumerate() {
            let bytes = slot.tensor.bytes();
            let raw = self.client.output(port_index(index)?, bytes)?;
            let values = decode(&slot.tensor, &raw);
            let values = to_caller(&values, &signature.shape, &slot.axes);
            prediction.outputs.push(values);
            prediction.raw.push(raw);
        }
        Ok(prediction)
    }
}

fn port_index(index: usize) -> Result<u8, Error> {
    u8::try_from(index).map_err(|_| format::Error::new(Reason::Port, index).into())
}

impl Predict for Device {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
        Ok(self.run(inputs)?)
    }
}
