//! Metrics, one family a file. Each takes samples one by one in constant memory, and merges with
//! what another shard has seen.

mod agreement;
mod auc;
mod classification;
mod error;

pub use agreement::Agreement;
pub use auc::Auc;
pub use classification::Classification;
pub use error::Errors;

/// The index of the largest score, the first of equal ones. `None` without scores.
pub fn top(scores: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &score) in scores.iter().enumerate() {
        if best.is_none_or(|(_, other)| score > other) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// `a / b`, 0 where there is nothing.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}
