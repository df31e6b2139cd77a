//! The idx format of MNIST, plain or gzip: big-endian sizes, then elements. The first dimension
//! counts samples.

use super::array::Element;
use super::{Reader, Samples, skip};
use crate::error::{Error, Problem};
use crate::source::{Expected, Sample, Wanted};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// An idx file.
pub(crate) struct Idx {
    path: PathBuf,
    samples: usize,
    elements: usize,
}

/// What a header says.
struct Header {
    element: Element,
    shape: Vec<usize>,
}

/// Opens a file, unpacks it where it is packed, and reads its header.
fn reader(path: &Path) -> Result<(Box<dyn Read>, Header), Error> {
    let is_packed = super::start(path)?.starts_with(&[0x1f, 0x8b]);
    let file = BufReader::new(File::open(path).map_err(|error| Error::new(path, error))?);
    let mut file: Box<dyn Read> = if is_packed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };
    let mut magic = [0; 4];
    file.read_exact(&mut magic)
        .map_err(|error| Error::corrupt(path, error))?;
    let element = match magic {
        [0, 0, 0x08, _] => Element::Unsigned(1),
        [0, 0, 0x09, _] => Element::Signed(1),
        [0, 0, 0x0b, _] => Element::Signed(2),
        [0, 0, 0x0c, _] => Element::Signed(4),
        [0, 0, 0x0d, _] => Element::F32,
        [0, 0, 0x0e, _] => Element::F64,
        _ => {
            return Err(Error::corrupt(
                path,
                "the file does not begin as idx files do",
            ));
        }
    };
    let mut shape = Vec::new();
    for _ in 0..magic[3] {
        let mut size = [0; 4];
        file.read_exact(&mut size)
            .map_err(|error| Error::corrupt(path, error))?;
        shape.push(u32::from_be_bytes(size) as usize);
    }
    Ok((file, Header { element, shape }))
}

fn numbers_of(element: Element, bytes: &mut [u8]) -> Vec<f32> {
    bytes
        .chunks_exact_mut(element.bytes())
        .map(|bytes| {
            bytes.reverse();
            element.number(bytes)
        })
        .collect()
}

/// Opens an idx file of samples.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Idx, Error> {
    let (_, header) = reader(path)?;
    let Some((&samples, rest)) = header.shape.split_first() else {
        return Err(Error::corrupt(path, "the file has no dimensions"));
    };
    let elements = rest
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    if elements != Some(expected.elements()) {
        let sizes: Vec<String> = rest.iter().map(usize::to_string).collect();
        return Err(Error::new(
            path,
            Problem::Shape {
                has: format!("samples are [{}]", sizes.join(", ")),
                input: expected.name.clone(),
                takes: expected.describe(),
                remedy: "pass data of the input's size",
            },
        ));
    }
    Ok(Idx {
        path: path.to_path_buf(),
        samples,
        elements: expected.elements(),
    })
}

impl Reader for Idx {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let (mut file, header) = reader(&self.path)?;
        let bytes = self.elements * header.element.bytes();
        let mut next = 0;
        Ok(Box::new(wanted.iter().map(move |index| {
            let ahead = (index - next) as u64 * bytes as u64;
            let mut buffer = Vec::new();
            let read = skip(&mut file, ahead)
                .and_then(|_| (&mut file).take(bytes as u64).read_to_end(&mut buffer));
            read.map_err(|error| Error::corrupt(&self.path, error))?;
            if buffer.len() != bytes {
                return Err(Error::corrupt(
                    &self.path,
                    format!("sample {index} is cut off"),
                ));
            }
            next = index + 1;
            let values = numbers_of(header.element, &mut buffer);
            Ok(Sample {
                values,
                label: None,
                name: index.to_string(),
            })
        })))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }
}

/// All numbers of an idx file of one dimension, for labels.
pub(crate) fn numbers(path: &Path) -> Result<Vec<f32>, Error> {
    let (file, header) = reader(path)?;
    let &[count] = header.shape.as_slice() else {
        let message = format!(
            "labels are one number a sample, but the file has {} dimensions",
            header.shape.len()
        );
        return Err(Error::new(path, Problem::Labels(message)));
    };
    let mut bytes = Vec::new();
    let announced = count as u64 * header.element.bytes() as u64;
    file.take(announced)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::corrupt(path, error))?;
    if bytes.len() as u64 != announced {
        return Err(Error::corrupt(path, "labels are cut off"));
    }
    Ok(numbers_of(header.element, &mut bytes))
}

#[cfg(test)]
mod tests {
    use crate::{Expected, Options, Sample, Source};
    use std::io::Write;

    #[test]
    fn images_and_labels_plain_and_packed() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images-idx3-ubyte");
        std::fs::write(
            &images,
            [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 255],
        )
        .unwrap();
        let labels = folder.path().join("labels-idx1-ubyte.gz");
        let mut packed = flate2::write::GzEncoder::new(
            std::fs::File::create(&labels).unwrap(),
            flate2::Compression::fast(),
        );
        packed.write_all(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9]).unwrap();
        packed.finish().unwrap();
        let expected = Expected {
            name: "x".into(),
            shape: vec![1, 2, 1],
            channels_first: false,
            channel: None,
        };
        let options = Options {
            labels: Some(labels),
            ..Options::default()
        };
        let source = Source::open(&images, &[expected], &options).unwrap();
        let samples: Vec<Sample> = source.samples().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            (samples[1].values.as_slice(), samples[1].label),
            (&[3.0, 255.0][..], Some(9))
        );
    }
}
