//! How many dimensions and elements tensors may have, and what is said of those with others.

use format::MAX_RANK;
use graph::Shape;

/// More elements in one tensor are refused: an edge device holds far less.
const MOST_ELEMENTS: usize = 1 << 26;

/// What is wrong with a tensor of this shape, if it cannot be computed.
pub(crate) fn problem(shape: &Shape) -> Option<String> {
    let dims: Vec<usize> = shape.dims().iter().map(|&size| size as usize).collect();
    match elements(&dims) {
        0 => Some(format!("{shape} is empty; every size must be above 0")),
        count if count > MOST_ELEMENTS as u128 => Some(format!(
            "{shape} is too large: it has {count} elements, and {MOST_ELEMENTS} are the most"
        )),
        _ => None,
    }
}

/// Dimensions as a shape whose elements 32 bits can count; else, what is wrong with them.
pub(crate) fn shape<T: Copy + std::fmt::Debug>(dims: &[T]) -> Result<Shape, String>
where
    usize: TryFrom<T>,
{
    let sizes: Result<Vec<usize>, _> = dims.iter().map(|&size| usize::try_from(size)).collect();
    let Ok(sizes) = sizes else {
        return Err(format!("dimensions {dims:?} are negative"));
    };
    let rank = dims.len();
    if rank > MAX_RANK {
        return Err(format!(
            "dimensions {dims:?} are too many: {rank}, and {MAX_RANK} are the most"
        ));
    }
    let narrow: Option<Vec<u32>> = sizes.iter().map(|&size| size.try_into().ok()).collect();
    let shape = narrow.and_then(|narrow| Shape::new(&narrow));
    let counted = shape.filter(|shape| shape.checked_elements().is_some());
    counted.ok_or_else(|| {
        format!(
            "dimensions {dims:?} are too large: {} elements, and {MOST_ELEMENTS} are the most",
            elements(&sizes)
        )
    })
}

fn elements(sizes: &[usize]) -> u128 {
    let factors = sizes.iter().map(|&size| size as u128);
    factors.fold(1, u128::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told() {
        let of = |dims: &[u32]| problem(&Shape::new(dims).unwrap());
        assert_eq!(of(&[1, 8192, 8192]), None);
        assert_eq!(of(&[]), None);
        let empty = of(&[1, 0]).unwrap();
        assert_eq!(empty, "1x0 is empty; every size must be above 0");
        let large = of(&[1 << 20, 1 << 20]).unwrap();
        assert!(large.contains("1099511627776 elements, and 67108864 are the most"));
        let refused = |dims: &[i64]| shape(dims).unwrap_err();
        assert_eq!(refused(&[2, -1]), "dimensions [2, -1] are negative");
        assert!(refused(&[1; 7]).contains("too many: 7, and 6 are the most"));
        assert!(refused(&[1 << 40]).contains("1099511627776 elements"));
        assert_eq!(shape(&[2, 3]).unwrap().elements(), 6);
    }
}
