//! Einsum: transposes, sums, diagonals and products of stacks of matrices.

use crate::onnx::call::{Call, Item, Refusal, sizes};
use runtime::ops::reduce::Function as Fold;

/// A tensor and the letters of its axes.
struct Term {
    item: Item,
    labels: Vec<char>,
}

pub(super) fn import(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let equation: String = call
        .attributes
        .text("equation", "")?
        .split_whitespace()
        .collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (&equation[..], None),
    };
    let words: Vec<&str> = left.split(',').collect();
    if words.len() != call.inputs.len() {
        return Err(format!("'{equation}' is not for {} operands", call.inputs.len()).into());
    }
    let mut terms = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let item = call.float(index)?;
        let labels = letters(word, Some(call.shape(item).rank()))?;
        if labels.len() != call.shape(item).rank() {
            return Err(format!("'{word}' is not for {}", call.shape(item)).into());
        }
        terms.push(diagonal(call, Term { item, labels })?);
    }
    let dots = |term: &&Term| {
        term.labels
            .iter()
            .filter(|label| label.is_ascii_digit())
            .count()
    };
    let most = terms.iter().max_by_key(dots).map_or(0, |term| dots(&term));
    let output = match right {
        Some(word) => letters(word, Some(most + word.replace("...", "").len()))?,
        None => implied(&words, most),
    };
    let mut terms = terms.into_iter();
    let mut result = terms.next().ok_or("it has no operands")?;
    let rest: Vec<Term> = terms.collect();
    for (index, term) in rest.iter().enumerate() {
        let later = rest[index + 1..].iter().flat_map(|term| term.labels.iter());
        let needed: Vec<char> = output.iter().chain(later).copied().collect();
        let own = Term {
            item: term.item,
            labels: term.labels.clone(),
        };
        result = multiplied(call, result, own, &needed)?;
    }
    let result = summed(call, result, &output)?;
    Ok(vec![ordered(call, &result, &output)?])
}

/// Letters of axes; those that an ellipsis stands for are digits, the last axis 0.
fn letters(word: &str, rank: Option<usize>) -> Result<Vec<char>, Refusal> {
    let named = word.replace("...", "");
    if !named.chars().all(|label| label.is_ascii_alphabetic()) {
        return Err(format!("'{word}' is no list of letters").into());
    }
    let Some((before, after)) = word.split_once("...") else {
        return Ok(named.chars().collect());
    };
    let count = rank.unwrap_or(0).saturating_sub(named.len());
    let digits = (0..count.min(9) as u32)
        .rev()
        .filter_map(|digit| char::from_digit(digit, 10));
    Ok(before.chars().chain(digits).chain(after.chars()).collect())
}

/// Without an arrow: what an ellipsis stands for, then letters that are there once, in order.
fn implied(words: &[&str], dots: usize) -> Vec<char> {
    let all: Vec<char> = words.iter().flat_map(|word| word.chars()).collect();
    let once =
        |label: &&char| label.is_alphabetic() && all.iter().filter(|x| x == label).count() == 1;
    let mut named: Vec<char> = all.iter().filter(once).copied().collect();
    named.sort_unstable();
    let digits = (0..dots.min(9) as u32)
        .rev()
        .filter_map(|digit| char::from_digit(digit, 10));
    digits.chain(named).collect()
}

/// Axes of the same letter become one, their diagonal.
fn diagonal(call: &mut Call<'_>, mut term: Term) -> Result<Term, Refusal> {
    loop {
        let labels = &term.labels;
        let pair = (0..labels.len())
            .flat_map(|a| (a + 1..labels.len()).map(move |b| (a, b)))
            .find(|&(a, b)| labels[a] == labels[b]);
        let Some((a, b)) = pair else { return Ok(term) };
        let dims = sizes(&call.shape(term.item));
        if dims[a] != dims[b] {
            return Err(format!("axes of {} and {} have one letter", dims[a], dims[b]).into());
        }
        let mut order: Vec<usize> = (0..dims.len())
            .filter(|&axis| axis != a && axis != b)
            .collect();
        let mut rest: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let mut labels: Vec<char> = order.iter().map(|&axis| term.labels[axis]).collect();
        order.extend([a, b]);
        let turned = call.transpose(term.item, order)?;
        rest.push(dims[a] * dims[a]);
        let flat = call.reshape(turned, &rest)?;
        call.room_for(Some(dims[a]))?;
        let table = (0..dims[a]).map(|at| (at * (dims[a] + 1)) as i32).collect();
        labels.push(term.labels[a]);
        term = Term {
            item: call.picked(flat, rest.len() - 1, table)?,
            labels,
        };
    }
}

/// The term with axes in the order of `labels`, all of which it has.
fn ordered(call: &mut Call<'_>, term: &Term, labels: &[char]) -> Result<Item, Refusal> {
    let place = |label: &char| term.labels.iter().position(|own| own == label);
    let order: Option<Vec<usize>> = labels.iter().map(place).collect();
    let order = order.filter(|order| order.len() == term.labels.len());
    call.transpose(
        term.item,
        order.ok_or("its result has letters that no operand has")?,
    )
}

/// The sum over letters that are not needed.
fn summed(call: &mut Call<'_>, term: Term, needed: &[char]) -> Result<Term, Refusal> {
    let mut order: Vec<char> = term.labels.clone();
    order.retain(|label| needed.contains(label));
    let kept = order.len();
    order.extend(term.labels.iter().filter(|label| !needed.contains(label)));
    if kept == order.len() {
        return Ok(term);
    }
    let turned = ordered(call, &term, &order)?;
    let dims = sizes(&call.shape(turned));
    let sum = call.folded(Fold::Sum, turned, [kept, dims.len() - 1])?;
    let item = call.reshape(sum, &dims[..kept])?;
    order.truncate(kept);
    Ok(Term {
        item,
        labels: order,
    })
}

/// The product of two terms, summed over letters that nothing else needs.
fn multiplied(call: &mut Call<'_>, a: Term, b: Term, needed: &[char]) -> Result<Term, Refusal> {
    let of = |term: &Term| [&term.labels[..], needed].concat();
    let (for_a, for_b) = (of(&b), of(&a));
    let (a, b) = (summed(call, a, &for_a)?, summed(call, b, &for_b)?);
    let both: Vec<char> = a
        .labels
        .iter()
        .copied()
        .filter(|l| b.labels.contains(l))
        .collect();
    let (batch, inner): (Vec<char>, Vec<char>) = both.iter().partition(|l| needed.contains(l));
    let only = |term: &Term| -> Vec<char> {
        term.labels
            .iter()
            .copied()
            .filter(|l| !both.contains(l))
            .collect()
    };
    let (rows, columns) = (only(&a), only(&b));
    let dims_of = |call: &Call<'_>, term: &Term, labels: &[char]| -> Vec<usize> {
        let dims = sizes(&call.shape(term.item));
        let place = |label: &char| term.labels.iter().position(|own| own == label);
        labels
            .iter()
            .filter_map(place)
            .map(|axis| dims[axis])
            .collect()
    };
    if dims_of(call, &a, &both) != dims_of(call, &b, &both) {
        return Err("axes of the same letter have different sizes".into());
    }
    let [batch_dims, inner_dims] = [&batch, &inner].map(|labels| dims_of(call, &a, labels));
    let (row_dims, column_dims) = (dims_of(call, &a, &rows), dims_of(call, &b, &columns));
    let size = |dims: &[usize]| dims.iter().product::<usize>();
    let left = ordered(call, &a, &[&batch[..], &rows, &inner].concat())?;
    let left = call.reshape(
        left,
        &[size(&batch_dims), size(&row_dims), size(&inner_dims)],
    )?;
    let right = ordered(call, &b, &[&batch[..], &inner, &columns].concat())?;
    let right = call.reshape(
        right,
        &[size(&batch_dims), size(&inner_dims), size(&column_dims)],
    )?;
    let product = call.product(left, right)?;
    let item = call.reshape(product, &[batch_dims, row_dims, column_dims].concat())?;
    Ok(Term {
        item,
        labels: [batch, rows, columns].concat(),
    })
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, text};

    fn of(equation: &str, operands: &[(&[i64], &[f32])]) -> (String, Vec<f32>) {
        let source = operands
            .iter()
            .fold(Source::new(13), |source, (dims, x)| source.input(dims, x));
        source
            .apply("Einsum", vec![text("equation", equation)])
            .run()
    }

    const X: (&[i64], &[f32]) = (&[2, 2], &[1.0, 2.0, 3.0, 4.0]);

    #[test]
    fn one_operand_is_turned_summed_or_cut() {
        assert_eq!(of("ij->ji", &[X]).1, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(of("ij->i", &[X]), ("2".into(), vec![3.0, 7.0]));
        assert_eq!(of("...ii ->...i", &[X]).1, [1.0, 4.0]);
        assert_eq!(of("ba", &[X]).1, [1.0, 3.0, 2.0, 4.0]);
    }

    #[test]
    fn operands_are_multiplied() {
        assert_eq!(of("ij,jk->ik", &[X, X]).1, [7.0, 10.0, 15.0, 22.0]);
        assert_eq!(of("ij,ij->j", &[X, X]).1, [10.0, 20.0]);
        let row: (&[i64], &[f32]) = (&[2], &[1.0, 10.0]);
        assert_eq!(of("i,i", &[row, row]), ("scalar".into(), vec![101.0]));
        assert_eq!(of("i,ij,j->", &[row, X, row]).1, [451.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |equation| {
            let source = Source::new(13).input(X.0, X.1);
            source
                .apply("Einsum", vec![text("equation", equation)])
                .refusal()
        };
        assert!(refused("ijk->i").contains("is not for 2x2"));
        assert!(refused("ij,j->i").contains("not for 1 operands"));
        assert!(refused("ij->ik").contains("no operand has"));
        assert!(refused("i1->i").contains("no list of letters"));
    }
}
