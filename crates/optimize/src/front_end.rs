//! Puts a front end before a model of features, so that it takes sound.

use format::DType;
use graph::{Error, Graph, Quantization, Shape};
use runtime::ops::log_mel::LogMel;
use runtime::ops::reshape::Reshape;

/// Fails where the features of `front_end` are not what the graph takes.
pub fn check(graph: &Graph, front_end: &LogMel) -> Result<(), Error> {
    let [port] = &graph.inputs[..] else {
        let count = graph.inputs.len();
        return Err(refused(format!(
            "the model has {count} inputs, not one; leave out --front-end"
        )));
    };
    let (shape, values) = (graph.value(port.value).shape, front_end.values());
    if shape.elements() == 0 || !shape.elements().is_multiple_of(values) {
        let name = &port.name;
        return Err(refused(format!(
            "input '{name}' of {shape} is no number of frames with {values} values; leave out --front-end, \
             or give its bands or coefficients another number"
        )));
    }
    Ok(())
}

fn refused(reason: String) -> Error {
    Error {
        node: "front end".into(),
        operator: "log_mel".into(),
        reason,
    }
}

/// Makes the graph's only input the features of `front_end`, whose own input is sound: int16
/// samples, as many as all frames take, standing for real numbers from -1 to 1. `front_end.dtype`
/// becomes the type of the features.
pub fn attach(graph: &mut Graph, front_end: &LogMel) -> Result<(), Error> {
    check(graph, front_end)?;
    let (features, name) = (graph.inputs[0].value, graph.inputs[0].name.clone());
    let value = graph.value(features).clone();
    let values = front_end.values();
    let frames = value.shape.elements() / values;
    let dims = [1, frames as u32, 1, values as u32];
    graph.inputs.clear();
    let samples = Shape::new(&[1, front_end.samples(frames) as u32]);
    let samples = samples.ok_or_else(|| refused("too many samples".into()))?;
    let sound = graph.add_input("sound", DType::I16, samples);
    graph.value_mut(sound).quantization = Some(Quantization::per_tensor(1.0 / 32_768.0, 0));
    let front_end = LogMel {
        dtype: value.dtype,
        ..front_end.clone()
    };
    let made = graph.make_node("front end", front_end, vec![Some(sound)])?;
    let mut nodes = vec![made];
    let mut last = nodes[0].outputs[0];
    graph
        .value_mut(last)
        .quantization
        .clone_from(&value.quantization);
    if value.shape.dims() != dims {
        let reshape = Reshape { shape: value.shape };
        let reshape = graph.make_node(name, reshape, vec![Some(last)])?;
        last = reshape.outputs[0];
        graph.value_mut(last).quantization = value.quantization;
        nodes.push(reshape);
    }
    graph.replace_uses(features, last);
    graph.nodes.splice(0..0, nodes);
    graph.verify()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::ops::log_mel::Taper;
    use runtime::ops::unary::{Function, Unary};

    fn front_end() -> LogMel {
        LogMel {
            rate: 16_000.0,
            frame: 60,
            hop: 30,
            points: 64,
            taper: Taper::Hann,
            pre_emphasis: 0.0,
            is_magnitude: false,
            bands: 8,
            range: [100.0, 8_000.0],
            scale: 1.0,
            offset: 0.0,
            limits: [-9.0, 9.0],
            coefficients: 0,
            dtype: DType::F32,
        }
    }

    fn model(dims: &[u32]) -> Graph {
        let mut graph = Graph::default();
        let x = graph.add_input("x", DType::F32, Shape::new(dims).unwrap());
        let function = Function::Tanh;
        let y = graph.push("y", Unary { function }, &[x]).unwrap()[0];
        graph.add_output("y", y);
        graph
    }

    #[test]
    fn sound_takes_the_place_of_features() {
        let mut graph = model(&[1, 5, 8]);
        attach(&mut graph, &front_end()).unwrap();
        assert_eq!(graph.inputs.len(), 1);
        let sound = graph.value(graph.inputs[0].value);
        assert_eq!(
            (sound.dtype, sound.shape.dims()),
            (DType::I16, &[1, 4 * 30 + 61][..])
        );
        assert_eq!(graph.nodes.len(), 3);
        assert_eq!(graph.value(graph.outputs[0].value).shape.dims(), [1, 5, 8]);
    }

    #[test]
    fn features_of_another_size_are_refused() {
        let error = attach(&mut model(&[1, 5, 7]), &front_end()).unwrap_err();
        let expected = "input 'x' of 1x5x7 is no number of frames with 8 values";
        assert!(error.reason.starts_with(expected), "{}", error.reason);
    }
}
