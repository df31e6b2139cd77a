//! The model's inputs: types, and sizes of dynamic dimensions.

use crate::Options;
use crate::error::Problem;
use crate::sizes::{self, problem};
use graph::{DType, Data, Shape};
use rten_onnx::onnx::{DataType, Dimension, GraphProto, TypeProtoTensor, ValueInfoProto};
use runtime::host::Tensor;
use std::collections::HashSet;

/// An input as the graph will have it.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Shape,
}

/// Reads all inputs that are not also constants.
pub(super) fn read(
    graph: &GraphProto,
    constants: &HashSet<&str>,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<Input>, Problem> {
    let name = |input: &ValueInfoProto| input.name.clone().unwrap_or_default();
    let own: Vec<&ValueInfoProto> = graph
        .input
        .iter()
        .filter(|input| !constants.contains(name(input).as_str()))
        .collect();
    check_options(&own, options)?;
    let mut seen = HashSet::new();
    let mut inputs = Vec::new();
    for input in own {
        if !seen.insert(name(input)) {
            return Err(Problem::Structure(format!(
                "there are two inputs '{}'",
                name(input)
            )));
        }
        inputs.push(read_one(input, options, notes)?);
    }
    Ok(inputs)
}

/// The inputs that the caller gave values for, as constants.
pub(super) fn constants(
    graph: &GraphProto,
    options: &Options,
) -> Result<Vec<(String, Tensor)>, Problem> {
    let mut constants = Vec::new();
    for (name, values) in &options.constants {
        let named = |input: &&ValueInfoProto| input.name.as_deref() == Some(name);
        let Some(input) = graph.input.iter().find(named) else {
            let names = graph.input.iter().filter_map(|input| input.name.as_deref());
            return Err(Problem::UnknownOption {
                what: "input",
                name: name.clone(),
                known: names.collect::<Vec<_>>().join(", "),
            });
        };
        // A batch dimension that is left open is not taken as 1 here: it is as large as needed.
        let mut shapes = options.clone();
        let open: Vec<&Dimension> = dimensions(input).unwrap_or(&[]).iter().collect();
        if let [only] = open[..]
            && fixed(only).is_none()
        {
            shapes.shapes.insert(name.clone(), vec![values.len()]);
        }
        // A constant may be empty, as lists of axes are.
        let input = read_shaped(input, &shapes, &mut Vec::new())?;
        let refuse = |reason| Problem::Input {
            input: name.clone(),
            reason,
        };
        if values.len() != input.shape.elements() {
            let (has, needs) = (values.len(), input.shape.elements());
            return Err(refuse(format!(
                "has {has} values where {} needs {needs}",
                input.shape
            )));
        }
        let data = data(input.dtype, values).map_err(refuse)?;
        constants.push((
            name.clone(),
            Tensor {
                shape: input.shape,
                data,
            },
        ));
    }
    Ok(constants)
}

/// Numbers as elements of a type that holds them.
fn data(dtype: DType, values: &[f64]) -> Result<Data, String> {
    let whole: Result<Vec<i64>, String> = values
        .iter()
        .map(|&value| match value as i64 {
            integer if integer as f64 == value => Ok(integer),
            _ => Err(format!("{value} is not a whole number")),
        })
        .collect();
    let fits = |low: i64, high: i64| {
        let whole = whole.clone()?;
        match whole.iter().find(|value| !(low..=high).contains(value)) {
            Some(value) => Err(format!("{value} is not a value of {dtype}")),
            None => Ok(whole.into_iter()),
        }
    };
    Ok(match dtype {
        DType::F32 => Data::F32(values.iter().map(|&value| value as f32).collect()),
        DType::I8 => Data::I8(fits(-128, 127)?.map(|v| v as i8).collect()),
        DType::U8 => Data::U8(fits(0, 255)?.map(|v| v as u8).collect()),
        DType::I16 => Data::I16(fits(-32_768, 32_767)?.map(|v| v as i16).collect()),
        DType::I32 => Data::I32(
            fits(i32::MIN.into(), i32::MAX.into())?
                .map(|v| v as i32)
                .collect(),
        ),
        DType::I64 => Data::I64(whole?),
        DType::U16 => Data::U16(fits(0, u16::MAX.into())?.map(|v| v as u16).collect()),
        DType::U32 => Data::U32(fits(0, u32::MAX.into())?.map(|v| v as u32).collect()),
        DType::U64 => Data::U64(fits(0, i64::MAX)?.map(|v| v as u64).collect()),
        DType::Bool => Data::Bool(fits(0, 1)?.map(|v| v as u8).collect()),
        other => return Err(format!("{other} has no values to give")),
    })
}

fn tensor_type(input: &ValueInfoProto) -> Option<&TypeProtoTensor> {
    input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref())
}

fn dimensions(input: &ValueInfoProto) -> Option<&[Dimension]> {
    tensor_type(input)?
        .shape
        .as_ref()
        .map(|shape| shape.dim.as_slice())
}

/// A dimension's fixed size. Some exporters write 0 or -1 for a dynamic one.
fn fixed(dimension: &Dimension) -> Option<usize> {
    dimension
        .dim_value
        .filter(|&size| size > 0)
        .and_then(|size| usize::try_from(size).ok())
}

/// The name under which a dynamic dimension gets its value.
fn dimension_name(input: &str, axis: usize, dimension: &Dimension) -> String {
    match dimension.dim_param.as_deref() {
        Some(name) if !name.is_empty() => name.into(),
        _ => format!("{input}.{axis}"),
    }
}

/// Refuses values for dimensions and inputs that the model does not have.
fn check_options(inputs: &[&ValueInfoProto], options: &Options) -> Result<(), Problem> {
    let mut names = Vec::new();
    let mut dynamic = Vec::new();
    for input in inputs {
        let name = input.name.clone().unwrap_or_default();
        for (axis, dimension) in dimensions(input).unwrap_or(&[]).iter().enumerate() {
            if fixed(dimension).is_none() {
                dynamic.push(dimension_name(&name, axis, dimension));
            }
        }
        names.push(name);
    }
    dynamic.sort();
    dynamic.dedup();
    let check = |what, given: Vec<&String>, known: &[String]| {
        let unknown = given.into_iter().find(|name| !known.contains(name));
        let Some(name) = unknown.cloned() else {
            return Ok(());
        };
        let known = if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        };
        Err(Problem::UnknownOption { what, name, known })
    };
    check("dynamic dimension", options.dims.keys().collect(), &dynamic)?;
    check("input", options.shapes.keys().collect(), &names)
}

/// An input that can be computed with.
fn read_one(
    input: &ValueInfoProto,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Input, Problem> {
    let read = read_shaped(input, options, notes)?;
    match problem(&read.shape) {
        Some(reason) => Err(Problem::Input {
            reason,
            input: read.name,
        }),
        None => Ok(read),
    }
}

fn read_shaped(
    input: &ValueInfoProto,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Input, Problem> {
    let name = input.name.clone().unwrap_or_default();
    let refuse = |reason: String| Problem::Input {
        input: name.clone(),
        reason,
    };
    let tensor = tensor_type(input).ok_or_else(|| refuse("is not a tensor".into()))?;
    let dtype = dtype(&name, tensor.elem_type.unwrap_or(DataType(0)), notes).map_err(&refuse)?;
    let declared = dimensions(input);
    let dims = match (options.shapes.get(&name), declared) {
        (Some(given), declared) => {
            check_given(given, declared).map_err(refuse)?;
            given.clone()
        }
        (None, Some(dimensions)) => chosen(&name, dimensions, options, notes)?,
        (None, None) => {
            let reason = "the file does not say how many dimensions it has; give its whole shape";
            return Err(refuse(reason.into()));
        }
    };
    let shape = sizes::shape(&dims).map_err(refuse)?;
    Ok(Input { name, dtype, shape })
}

/// A whole shape from the caller must agree with what the file fixes.
fn check_given(given: &[usize], declared: Option<&[Dimension]>) -> Result<(), String> {
    let Some(declared) = declared else {
        return Ok(());
    };
    let agrees = declared.len() == given.len()
        && declared
            .iter()
            .zip(given)
            .all(|(d, &size)| fixed(d).is_none_or(|f| f == size));
    if agrees {
        return Ok(());
    }
    let show = |d: &Dimension| fixed(d).map_or("?".into(), |size| size.to_string());
    let declared: Vec<String> = declared.iter().map(show).collect();
    Err(format!(
        "the shape {given:?} does not fit [{}] in the file",
        declared.join(", ")
    ))
}

/// The sizes of an input's dimensions, as the file or the caller says.
fn chosen(
    input: &str,
    dimensions: &[Dimension],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, Problem> {
    let mut sizes = Vec::new();
    for (axis, dimension) in dimensions.iter().enumerate() {
        let name = dimension_name(input, axis, dimension);
        sizes.push(match (fixed(dimension), options.dims.get(&name)) {
            (Some(size), _) => size,
            (None, Some(&size)) => size,
            (None, None) if axis == 0 => {
                notes.push(format!(
                    "input '{input}': the batch dimension '{name}' is taken as 1"
                ));
                1
            }
            (None, None) => {
                return Err(Problem::Dimension {
                    input: input.into(),
                    axis,
                    name,
                });
            }
        });
    }
    Ok(sizes)
}

fn dtype(name: &str, dtype: DataType, notes: &mut Vec<String>) -> Result<DType, String> {
    Ok(match dtype {
        DataType::FLOAT => DType::F32,
        DataType::FLOAT16 | DataType::BFLOAT16 | DataType::DOUBLE => {
            notes.push(format!(
                "input '{name}' is {dtype} in the file and becomes f32"
            ));
            DType::F32
        }
        DataType::INT8 => DType::I8,
        DataType::UINT8 => DType::U8,
        DataType::INT16 => DType::I16,
        DataType::INT32 => DType::I32,
        DataType::INT64 => DType::I64,
        DataType::UINT16 => DType::U16,
        DataType::UINT32 => DType::U32,
        DataType::UINT64 => DType::U64,
        DataType::BOOL => DType::Bool,
        other => {
            return Err(format!(
                "elements of type {other} are not supported; use float"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rten_onnx::onnx::{TensorShapeProto, TypeProto};

    fn input(dims: &[Result<i64, &str>]) -> GraphProto {
        let dimension = |d: &Result<i64, &str>| Dimension {
            dim_value: d.ok(),
            dim_param: d.err().map(str::to_owned),
        };
        let shape = TensorShapeProto {
            dim: dims.iter().map(dimension).collect(),
        };
        let tensor = TypeProtoTensor {
            elem_type: Some(DataType::FLOAT),
            shape: Some(shape),
        };
        let r#type = Some(TypeProto {
            tensor_type: Some(tensor),
            sequence: None,
        });
        let info = ValueInfoProto {
            name: Some("x".into()),
            r#type,
        };
        GraphProto {
            input: vec![info],
            ..GraphProto::default()
        }
    }

    fn shape(graph: &GraphProto, options: &Options) -> Result<String, String> {
        let inputs = read(graph, &HashSet::new(), options, &mut Vec::new());
        inputs
            .map(|inputs| inputs[0].shape.to_string())
            .map_err(|e| e.to_string())
    }

    fn dims(pairs: &[(&str, usize)]) -> Options {
        let dims = pairs
            .iter()
            .map(|&(name, size)| (name.into(), size))
            .collect();
        Options {
            dims,
            ..Options::default()
        }
    }

    #[test]
    fn a_batch_is_one_and_other_dimensions_need_a_value() {
        let none = Options::default();
        assert_eq!(shape(&input(&[Err("N"), Ok(3)]), &none).unwrap(), "1x3");
        assert_eq!(shape(&input(&[Ok(-1), Ok(3)]), &none).unwrap(), "1x3");
        assert_eq!(
            shape(&input(&[Err("N"), Ok(3)]), &dims(&[("N", 4)])).unwrap(),
            "4x3"
        );
        let graph = input(&[Ok(1), Err("time"), Err("")]);
        let missing = shape(&graph, &none).unwrap_err();
        assert!(
            missing.contains("input 'x': dimension 1 ('time')"),
            "{missing}"
        );
        assert!(missing.contains("--dim time=VALUE"), "{missing}");
        assert_eq!(
            shape(&graph, &dims(&[("time", 5), ("x.2", 7)])).unwrap(),
            "1x5x7"
        );
    }

    #[test]
    fn what_the_model_does_not_have_is_not_ignored() {
        let unknown = shape(&input(&[Err("N")]), &dims(&[("M", 2)])).unwrap_err();
        assert!(
            unknown.contains("no dynamic dimension 'M' in the model; it has N"),
            "{unknown}"
        );
        let shapes = [("y".to_owned(), vec![1])].into();
        let options = Options {
            shapes,
            ..Options::default()
        };
        assert!(
            shape(&input(&[Ok(1)]), &options)
                .unwrap_err()
                .contains("no input 'y'")
        );
    }

    #[test]
    fn a_whole_shape_must_fit() {
        let given = |sizes: &[usize]| Options {
            shapes: [("x".to_owned(), sizes.to_vec())].into(),
            ..Options::default()
        };
        let graph = input(&[Err("N"), Ok(3)]);
        assert_eq!(shape(&graph, &given(&[2, 3])).unwrap(), "2x3");
        assert!(
            shape(&graph, &given(&[2, 4]))
                .unwrap_err()
                .contains("[?, 3]")
        );
        assert!(
            shape(&graph, &given(&[3]))
                .unwrap_err()
                .contains("does not fit")
        );
        assert!(
            shape(&graph, &given(&[0, 3]))
                .unwrap_err()
                .contains("empty")
        );
    }

    #[test]
    fn inputs_can_be_given_as_constants() {
        let given = |name: &str, values: &[f64]| Options {
            constants: [(name.to_owned(), values.to_vec())].into(),
            ..Options::default()
        };
        let graph = input(&[Ok(2)]);
        let read = constants(&graph, &given("x", &[1.0, -2.5])).unwrap();
        assert_eq!(read[0].1.data, Data::F32(vec![1.0, -2.5]));
        assert!(constants(&graph, &given("x", &[1.0])).is_err());
        assert!(constants(&graph, &given("y", &[1.0, 2.0])).is_err());
        assert!(data(DType::I64, &[1.5]).is_err());
        assert!(data(DType::U8, &[256.0]).is_err());
        assert_eq!(data(DType::I32, &[7.0]), Ok(Data::I32(vec![7])));
    }
}
