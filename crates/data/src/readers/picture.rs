//! One image as the values of an input.

use crate::error::{Error, Problem};
use crate::source::Expected;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// The most memory that decoding may take, in bytes.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// Height, width and channels of an input for images.
pub(crate) fn dimensions(path: &Path, expected: &Expected) -> Result<[usize; 3], Error> {
    let sizes = match (expected.shape.as_slice(), expected.channels_first) {
        (&[height, width], _) => Some([height, width, 1]),
        (&[channels, height, width], true) => Some([height, width, channels]),
        (&[height, width, channels], false) => Some([height, width, channels]),
        _ => None,
    };
    sizes
        .filter(|sizes| matches!(sizes[2], 1 | 3))
        .ok_or_else(|| {
            Error::new(
                path,
                Problem::Shape {
                    has: "images have a height, a width and 1 or 3 channels".into(),
                    input: expected.name.clone(),
                    takes: expected.describe(),
                    remedy: "pass arrays, or say where the channels are with --layout",
                },
            )
        })
}

/// Decodes an image, resizes it where its size differs (triangle filter), and gives its values
/// from 0 to 255 in the input's order.
pub(crate) fn values(
    path: &Path,
    name: &str,
    bytes: &[u8],
    sizes: [usize; 3],
    channels_first: bool,
) -> Result<Vec<f32>, Error> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Error::new(path, error))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_BYTES_MAX);
    reader.limits(limits);
    let image = reader
        .decode()
        .map_err(|error| Error::corrupt(path, format!("'{name}': {error}")))?;
    let [height, width, channels] = sizes;
    let is_right = image.height() as usize == height && image.width() as usize == width;
    let image = match is_right {
        true => image,
        false => image.resize_exact(width as u32, height as u32, FilterType::Triangle),
    };
    let pixels = match channels {
        1 => DynamicImage::from(image.to_luma8()).into_bytes(),
        _ => DynamicImage::from(image.to_rgb8()).into_bytes(),
    };
    if !channels_first {
        return Ok(pixels.iter().map(|&value| f32::from(value)).collect());
    }
    let plane = |channel: usize| {
        pixels
            .iter()
            .skip(channel)
            .step_by(channels)
            .map(|&value| f32::from(value))
    };
    Ok((0..channels).flat_map(plane).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};

    /// A PNG whose red counts columns, green counts rows, and blue is 9.
    pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 9]));
        let mut bytes = Vec::new();
        image
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    #[test]
    fn channels_stand_where_the_input_wants_them() {
        let path = Path::new("x.png");
        let last = values(path, "x", &png(2, 1), [1, 2, 3], false).unwrap();
        assert_eq!(last, [0.0, 0.0, 9.0, 1.0, 0.0, 9.0]);
        let first = values(path, "x", &png(2, 1), [1, 2, 3], true).unwrap();
        assert_eq!(first, [0.0, 1.0, 0.0, 0.0, 9.0, 9.0]);
        assert_eq!(
            values(path, "x", &png(8, 8), [4, 2, 1], false)
                .unwrap()
                .len(),
            8
        );
    }

    #[test]
    fn broken_images_are_named() {
        let bytes = png(2, 2);
        let error = values(
            Path::new("a.tar"),
            "c/x.png",
            &bytes[..bytes.len() / 2],
            [2, 2, 3],
            false,
        )
        .unwrap_err();
        assert!(error.to_string().contains("'c/x.png'"), "{error}");
    }
}
