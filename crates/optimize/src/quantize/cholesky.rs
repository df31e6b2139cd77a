//! Symmetric positive definite matrices as `L Lᵀ`.
//!
//! Sums have a fixed order, so that a model is the same on every machine.

/// A square matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Square {
    /// Rows, and columns.
    pub size: usize,
    /// The elements.
    pub values: Vec<f64>,
}

impl Square {
    /// All zeros.
    pub(crate) fn zeros(size: usize) -> Self {
        let values = vec![0.0; size * size];
        Square { size, values }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.size.max(1))
    }

    /// Adds `left rightᵀ`.
    pub(crate) fn add_outer(&mut self, left: &[f32], right: &[f32]) {
        let rows = self.values.chunks_exact_mut(self.size.max(1));
        for (row, &a) in rows.zip(left).filter(|(_, a)| **a != 0.0) {
            let a = f64::from(a);
            row.iter_mut()
                .zip(right)
                .for_each(|(sum, &b)| *sum += a * f64::from(b));
        }
    }
}

/// The lower triangle `L`.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky {
    lower: Square,
}

impl Cholesky {
    /// Factors a symmetric matrix, of which the lower triangle is read. `None` where it is not
    /// positive definite.
    pub(crate) fn new(mut matrix: Square) -> Option<Self> {
        let size = matrix.size;
        for i in 0..size {
            let (before, rest) = matrix.values.split_at_mut(i * size);
            let row = rest.get_mut(..size)?;
            for (j, other) in before.chunks_exact(size).enumerate() {
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let square = row[i] - dot(&row[..i], &row[..i]);
            if square.is_nan() || square <= 0.0 {
                return None;
            }
            row[i] = square.sqrt();
        }
        Some(Cholesky { lower: matrix })
    }

    /// Row `i` of `L` up to the diagonal.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.lower.values[i * self.lower.size..][..=i]
    }

    /// Replaces `x` by the solution of `L Lᵀ s = x`.
    pub(crate) fn solve(&self, x: &mut [f64]) {
        for i in 0..x.len() {
            let row = self.row(i);
            x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
        }
        for i in (0..x.len()).rev() {
            let row = self.row(i);
            x[i] /= row[i];
            let (before, rest) = x.split_at_mut(i);
            add_scaled(before, row, -rest[0]);
        }
    }
}

/// The sum of products, in eight partial sums.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// `to += factor * row`, as far as `to` goes.
pub(crate) fn add_scaled(to: &mut [f64], row: &[f64], factor: f64) {
    to.iter_mut()
        .zip(row)
        .for_each(|(to, value)| *to += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_positive_definite_has_no_factor() {
        let values = vec![1.0, 2.0, 2.0, 1.0];
        assert!(Cholesky::new(Square { size: 2, values }).is_none());
        assert!(Cholesky::new(Square::zeros(3)).is_none());
    }

    proptest! {
        /// `A = B Bᵀ + 1` times the solution is the right side again.
        #[test]
        fn solutions_solve(rows in prop::collection::vec(prop::collection::vec(-2f32..2.0, 11), 1..20)) {
            let size = 11;
            let mut matrix = Square::zeros(size);
            rows.iter().for_each(|row| matrix.add_outer(row, row));
            (0..size).for_each(|i| matrix.values[i * size + i] += 1.0);
            let right: Vec<f64> = (0..size).map(|i| i as f64 - 4.0).collect();
            let mut solution = right.clone();
            Cholesky::new(matrix.clone()).unwrap().solve(&mut solution);
            for (row, right) in matrix.rows().zip(right) {
                prop_assert!((dot(row, &solution) - right).abs() < 1e-8);
            }
        }
    }
}
