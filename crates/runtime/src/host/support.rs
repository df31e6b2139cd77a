//! Which operators run in which types, and which kernel sets have loops of their own for them, from the
//! declarations.

use crate::ops::{ALL, PATHS};
use format::DType;
use kernels::Architecture;
use std::vec::Vec;

/// An operator, of one file in [`crate::ops`].
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    /// Its name.
    pub operator: &'static str,
    /// The codes of its forms.
    pub codes: Vec<u16>,
    /// Types of numbers that it has forms for, with the kernel sets that have loops of their own for it;
    /// all others run plain ones.
    pub types: Vec<(DType, Vec<Architecture>)>,
    /// Whether a form takes tensors of any type that its operands may have.
    pub is_general: bool,
}

/// Every operator of the device, in the order of the list.
pub fn support() -> Vec<Support> {
    let mut rows: Vec<Support> = Vec::new();
    for (path, op) in PATHS.iter().zip(ALL) {
        let Some((operator, form)) = path.split_once("::") else {
            continue;
        };
        if rows.last().is_none_or(|row| row.operator != operator) {
            let (codes, types) = (Vec::new(), Vec::new());
            rows.push(Support {
                operator,
                codes,
                types,
                is_general: false,
            });
        }
        let Some(row) = rows.last_mut() else { continue };
        row.codes.push(op.code);
        row.is_general |= matches!(form, "ANY" | "WHOLE");
        let sets = function(path).map_or(&[][..], kernels::loops);
        for dtype in types(form) {
            match row.types.iter_mut().find(|(other, _)| *other == dtype) {
                Some((_, held)) => held.extend(
                    sets.iter()
                        .filter(|set| !held.contains(set))
                        .copied()
                        .collect::<Vec<_>>(),
                ),
                None => row.types.push((dtype, sets.to_vec())),
            }
        }
    }
    rows
}

/// The types of numbers that a form's name says.
fn types(form: &str) -> Vec<DType> {
    if form == "RESCALE" {
        return std::vec![DType::I8, DType::I16];
    }
    let named = form.split('_').filter_map(|part| match part {
        "I8" => Some(DType::I8),
        "I16" => Some(DType::I16),
        "F32" => Some(DType::F32),
        _ => None,
    });
    named.collect()
}

/// The function in which a form spends its time, where that is one that kernel sets have.
fn function(path: &str) -> Option<&'static str> {
    Some(match path {
        "conv_2d::I8" | "conv_2d::NARROW_I8" => "i8::conv_2d",
        "conv_2d::F32" | "conv_2d::NARROW_F32" => "f32::conv_2d",
        "binary::ADD_I8" => "i8::add",
        "average_pool_2d::I8" => "i8::average_pool_2d",
        "average_pool_2d::SCALED_I8" | "average_pool_2d::UP_I8" => "i8::window_sums",
        "average_pool_2d::EVEN_I8" | "average_pool_2d::REAL_I8" => "i8::window_sums",
        "max_pool_2d::I8" => "i8::max_pool_2d",
        "unary::I8" => "i8::lookup",
        "quantize::F32_TO_I8" => "i8::quantize",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{function, support};
    use crate::ops::{ALL, PATHS};
    use format::DType;

    #[test]
    fn every_form_has_a_type_and_a_place() {
        let rows = support();
        assert_eq!(
            rows.iter().map(|row| row.codes.len()).sum::<usize>(),
            ALL.len()
        );
        let typed = |row: &super::Support| row.is_general || !row.types.is_empty();
        assert!(rows.iter().all(typed), "{rows:?}");
        let softmax = rows.iter().find(|row| row.operator == "softmax").unwrap();
        let types: std::vec::Vec<DType> = softmax.types.iter().map(|(dtype, _)| *dtype).collect();
        assert_eq!(types, [DType::I8, DType::I16, DType::F32]);
    }

    /// Forms that are named here are in the list, and their functions in the kernels' table.
    #[test]
    fn functions_are_those_of_kernels() {
        let forms = PATHS.iter().filter_map(|path| function(path));
        let functions: std::vec::Vec<&str> = forms.collect();
        assert_eq!(functions.len(), 13);
        assert!(
            functions
                .iter()
                .all(|function| !kernels::loops(function).is_empty())
        );
    }
}
