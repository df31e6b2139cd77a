//! What has an operator of its own and no attributes to speak of: Det, RoiAlign, TfIdfVectorizer.

use crate::onnx::call::{Call, Item, Refusal};
use runtime::ops::determinant::Determinant;
use runtime::ops::ngrams::{Mode, Ngrams};
use runtime::ops::roi_align::RoiAlign;

/// Determinants of the last two axes.
pub(super) fn determinant(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let x = call.float(0)?;
    Ok(vec![call.push(Determinant, &[x])?])
}

/// Regions of images in one size.
pub(super) fn roi_align(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let (x, regions) = (call.float(0)?, call.float(1)?);
    let samples = call.required(2)?;
    let size = |name| {
        let size = call.attributes.int(name, 1)?;
        let size = usize::try_from(size)
            .ok()
            .filter(|size| (1..=65_535).contains(size));
        size.ok_or_else(|| Refusal::from(format!("its {name} is not from 1 to 65,535")))
    };
    let size = [size("output_height")?, size("output_width")?];
    let density = u8::try_from(call.attributes.int("sampling_ratio", 0)?).unwrap_or(0);
    if density == 0 {
        let reason = "the number of its samples follows from regions that are computed";
        return Err(Refusal::new(
            reason,
            "export it with a sampling_ratio from 1 to 255",
        ));
    }
    let largest = match call.attributes.text("mode", "avg")? {
        "avg" => false,
        "max" => true,
        other => return Err(format!("the mode '{other}' is not known").into()),
    };
    let default = if call.opset < 16 {
        "output_half_pixel"
    } else {
        "half_pixel"
    };
    let half_pixel = match call
        .attributes
        .text("coordinate_transformation_mode", default)?
    {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(format!("coordinates in mode '{other}' are not known").into()),
    };
    let align = RoiAlign {
        size,
        density,
        scale: call.attributes.float("spatial_scale", 1.0)?,
        half_pixel,
        largest,
    };
    Ok(vec![call.push(align, &[x, regions, samples])?])
}

/// Counts of sequences of tokens, which are numbers.
pub(super) fn ngrams(call: &mut Call<'_>) -> Result<Vec<Item>, Refusal> {
    let tokens = call.required(0)?;
    let attributes = call.attributes;
    let mode = match attributes.text("mode", "TF")? {
        "TF" => Mode::Count,
        "IDF" => Mode::Weight,
        "TFIDF" => Mode::Product,
        other => return Err(format!("the mode '{other}' is not known").into()),
    };
    let pool = attributes
        .ints("pool_int64s")?
        .ok_or("it counts words, not numbers")?;
    let starts = attributes.ints("ngram_counts")?.unwrap_or(&[]);
    let columns = attributes.ints("ngram_indexes")?.unwrap_or(&[]);
    let [shortest, longest] = [
        attributes.int("min_gram_length", 1)?,
        attributes.int("max_gram_length", 1)?,
    ];
    let between = attributes.int("max_skip_count", 0)?;
    let most_between = u16::try_from(between).map_err(|_| format!("it skips {between} tokens"))?;
    let misfit = || Refusal::from("its sequences, their counts and their columns do not fit");
    let mut table = Vec::new();
    let mut column = columns.iter();
    for (index, &start) in starts.iter().enumerate() {
        let size = index + 1;
        let end = starts.get(size).map_or(pool.len() as i64, |&end| end);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let tokens = range
            .and_then(|(start, end)| pool.get(start..end))
            .ok_or_else(misfit)?;
        for sequence in tokens.chunks_exact(size) {
            let &column = column.next().ok_or_else(misfit)?;
            if (shortest..=longest).contains(&(size as i64)) {
                table.extend([column, size as i64].iter().chain(sequence).copied());
            }
        }
    }
    let table: Result<Vec<i32>, _> = table.into_iter().map(i32::try_from).collect();
    let table = table.map_err(|_| "a token or a column does not fit 32 bits")?;
    let count = columns
        .iter()
        .max()
        .map_or(0, |&last| last.saturating_add(1));
    let count = usize::try_from(count)
        .ok()
        .filter(|count| (1..=1 << 20).contains(count));
    let columns = count.ok_or_else(misfit)?;
    if table.is_empty() {
        return Err(misfit());
    }
    let table = call.positions(&[table.len()], table)?;
    let mut operands = vec![tokens, table];
    if let Some(weights) = attributes.floats("weights")? {
        if weights.len() != columns {
            return Err(misfit());
        }
        operands.push(call.floats(&[columns], weights.to_vec())?);
    }
    let ngrams = Ngrams {
        columns,
        most_between,
        mode,
    };
    Ok(vec![call.push(ngrams, &operands)?])
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::{Source, int, ints};

    #[test]
    fn sequences_have_columns() {
        let of = |shortest| {
            let source = Source::new(13).whole_of(&[1, 4], &[7, 8, 7, 8]);
            let attributes = vec![
                ints("pool_int64s", &[8, 7, 8]),
                ints("ngram_counts", &[0, 1]),
                ints("ngram_indexes", &[1, 0]),
                int("min_gram_length", shortest),
                int("max_gram_length", 2),
            ];
            source.apply("TfIdfVectorizer", attributes).run()
        };
        assert_eq!(of(1), ("1x2".into(), vec![2.0, 2.0]));
        assert_eq!(of(2).1, [2.0, 0.0]);
    }

    #[test]
    fn regions_need_a_density() {
        let source = || {
            let source = Source::new(16).input(&[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
            source.constant(&[1, 4], &[0.0, 0.0, 2.0, 2.0]).whole(&[0])
        };
        assert!(
            source()
                .apply("RoiAlign", vec![])
                .refusal()
                .contains("regions that are computed")
        );
        let mean = source().apply("RoiAlign", vec![int("sampling_ratio", 1)]);
        assert_eq!(mean.run(), ("1x1x1x1".into(), vec![2.5]));
    }

    #[test]
    fn matrices_are_square() {
        let source = Source::new(11).input(&[2, 2], &[4.0, 2.0, 2.0, 3.0]);
        assert_eq!(
            source.apply("Det", vec![]).run(),
            ("scalar".into(), vec![8.0])
        );
    }
}
