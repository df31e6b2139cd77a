//! NumPy arrays: `.npy` files, and `.npz` archives of them. The first dimension counts samples.

use super::array_header;
use super::{Reader, Samples, skip};
use crate::error::{Error, Problem};
use crate::labels::{self, Labels};
use crate::source::{Expected, Sample, Wanted};
use npyz::npz::NpzArchive;
use npyz::zip::read::ZipFile;
use npyz::{DType, NpyHeader, Order, TypeChar};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// Names of arrays that hold labels.
const LABELS: [&str; 4] = ["labels", "label", "y", "targets"];

/// How elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    F32,
    F64,
    Signed(usize),
    Unsigned(usize),
}

impl Element {
    /// Bytes of one.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Element::F16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Signed(bytes) | Element::Unsigned(bytes) => bytes,
        }
    }

    /// The number that little-endian bytes stand for.
    pub(crate) fn number(self, bytes: &[u8]) -> f32 {
        let mut wide = [0u8; 8];
        let count = bytes.len().min(8);
        wide[..count].copy_from_slice(&bytes[..count]);
        let unsigned = u64::from_le_bytes(wide);
        match self {
            Element::F16 => half(unsigned as u16),
            Element::F32 => f32::from_bits(unsigned as u32),
            Element::F64 => f64::from_bits(unsigned) as f32,
            Element::Unsigned(_) => unsigned as f32,
            Element::Signed(bytes) => {
                let unused = 64 - 8 * bytes as u32;
                ((unsigned << unused) as i64 >> unused) as f32
            }
        }
    }
}

/// IEEE 754 half precision.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

/// What an array's header says.
#[derive(Clone, Debug)]
struct Layout {
    element: Element,
    is_big_endian: bool,
    shape: Vec<usize>,
}

impl Layout {
    fn of(path: &Path, header: &NpyHeader) -> Result<Self, Error> {
        let DType::Plain(kind) = header.dtype() else {
            return Err(Error::new(path, Problem::Type("a record".into())));
        };
        let bytes = kind.size_field() as usize;
        let element = match (kind.type_char(), bytes) {
            (TypeChar::Float, 2) => Element::F16,
            (TypeChar::Float, 4) => Element::F32,
            (TypeChar::Float, 8) => Element::F64,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Element::Signed(bytes),
            (TypeChar::Uint | TypeChar::Bool, 1 | 2 | 4 | 8) => Element::Unsigned(bytes),
            _ => return Err(Error::new(path, Problem::Type(kind.to_string()))),
        };
        if header.order() == Order::Fortran && header.shape().len() > 1 {
            return Err(Error::new(path, Problem::Order));
        }
        let shape = header
            .shape()
            .iter()
            .map(|&size| usize::try_from(size).unwrap_or(usize::MAX))
            .collect();
        Ok(Layout {
            element,
            is_big_endian: kind.endianness() == npyz::Endianness::Big,
            shape,
        })
    }

    /// Samples, where each has the elements of the input.
    fn samples(&self, path: &Path, expected: &Expected) -> Result<usize, Error> {
        let (count, rest) = match self.shape.split_first() {
            Some((&count, rest)) => (count, rest),
            None => (1, &[][..]),
        };
        let elements = |sizes: &[usize]| {
            sizes
                .iter()
                .try_fold(1usize, |product, &size| product.checked_mul(size))
        };
        let plain = |sizes: &[usize]| -> Vec<usize> {
            sizes.iter().copied().filter(|&size| size != 1).collect()
        };
        // A single sample may come without its batch dimension.
        if plain(&self.shape) == plain(&expected.shape)
            && elements(rest) != elements(&expected.shape)
        {
            return Ok(1);
        }
        let fits = plain(rest) == plain(&expected.shape)
            || rest.len() == 1 && Some(rest[0]) == elements(&expected.shape);
        if fits {
            return Ok(count);
        }
        let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        Err(Error::new(
            path,
            Problem::Shape {
                has: format!("the array is [{}]", sizes.join(", ")),
                input: expected.name.clone(),
                takes: expected.describe(),
                remedy: "save an array whose first dimension counts samples and whose others are the input's",
            },
        ))
    }

    /// Bytes of the whole array.
    fn bytes(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(self.element.bytes(), |product, &size| {
                product.checked_mul(size)
            })
    }

    fn numbers(&self, bytes: &mut [u8]) -> Vec<f32> {
        let width = self.element.bytes();
        bytes
            .chunks_exact_mut(width)
            .map(|element| {
                if self.is_big_endian {
                    element.reverse();
                }
                self.element.number(element)
            })
            .collect()
    }
}

/// Samples of one array that is read from front to end.
struct Stream<R> {
    reader: R,
    layout: Layout,
    elements: usize,
    next: usize,
}

impl<R: Read> Stream<R> {
    /// Sample `index`, which is not before the last one.
    fn sample(&mut self, path: &Path, index: usize) -> Result<Vec<f32>, Error> {
        let bytes = self.elements * self.layout.element.bytes();
        let ahead = (index - self.next) as u64 * bytes as u64;
        let cut = || Error::corrupt(path, format!("sample {index} is cut off"));
        if !skip(&mut self.reader, ahead).map_err(|error| Error::new(path, error))? {
            return Err(cut());
        }
        let mut buffer = Vec::new();
        let read = (&mut self.reader)
            .take(bytes as u64)
            .read_to_end(&mut buffer);
        read.map_err(|error| Error::corrupt(path, error))?;
        if buffer.len() != bytes {
            return Err(cut());
        }
        self.next = index + 1;
        Ok(self.layout.numbers(&mut buffer))
    }
}

/// A `.npy` file.
pub(crate) struct Array {
    path: PathBuf,
    samples: usize,
    elements: usize,
}

fn reader(path: &Path) -> Result<(BufReader<File>, Layout), Error> {
    let mut file = BufReader::new(File::open(path).map_err(|error| Error::new(path, error))?);
    let header = array_header::read(path, &mut file)?;
    let layout = Layout::of(path, &header)?;
    Ok((file, layout))
}

/// Opens a `.npy` file.
pub(crate) fn open(path: &Path, expected: &Expected) -> Result<Array, Error> {
    let (mut file, layout) = reader(path)?;
    let samples = layout.samples(path, expected)?;
    let elements = expected.elements();
    let all = std::fs::metadata(path)
        .map_err(|error| Error::new(path, error))?
        .len();
    let size = all
        - file
            .stream_position()
            .map_err(|error| Error::new(path, error))?
            .min(all);
    let needed = samples as u128 * elements as u128 * layout.element.bytes() as u128;
    if needed > u128::from(size) {
        return Err(Error::corrupt(
            path,
            format!("{needed} bytes are announced where {size} are"),
        ));
    }
    Ok(Array {
        path: path.to_path_buf(),
        samples,
        elements,
    })
}

impl Reader for Array {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let (reader, layout) = reader(&self.path)?;
        let mut stream = Stream {
            reader,
            layout,
            elements: self.elements,
            next: 0,
        };
        Ok(Box::new(wanted.iter().map(move |index| {
            let values = stream.sample(&self.path, index)?;
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

/// All numbers of a `.npy` file, for labels.
pub(crate) fn numbers(path: &Path) -> Result<Vec<f32>, Error> {
    let (mut file, layout) = reader(path)?;
    if layout.shape.iter().filter(|&&size| size != 1).count() > 1 {
        let message = format!(
            "labels are one number a sample, but the array has {} dimensions",
            layout.shape.len()
        );
        return Err(Error::new(path, Problem::Labels(message)));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|error| Error::new(path, error))?;
    if layout.bytes() != Some(bytes.len()) {
        return Err(Error::corrupt(
            path,
            "the length is not what the header says",
        ));
    }
    Ok(layout.numbers(&mut bytes))
}

/// A `.npz` archive with one array per input.
pub(crate) struct Archive {
    path: PathBuf,
    /// Array names and elements per sample, in the inputs' order.
    arrays: Vec<(String, usize)>,
    labels: Option<String>,
    samples: usize,
}

fn archive(path: &Path) -> Result<NpzArchive<BufReader<File>>, Error> {
    NpzArchive::open(path).map_err(|error| Error::corrupt(path, error))
}

/// An array of an archive, up to its first element.
fn entry<'a>(
    path: &Path,
    file: &'a mut NpzArchive<BufReader<File>>,
    name: &str,
) -> Result<(Layout, ZipFile<'a>), Error> {
    let name = npyz::npz::file_name_from_array_name(name);
    let entry = file.zip_archive().by_name(&name);
    let mut entry = entry.map_err(|error| Error::corrupt(path, format!("{name}: {error}")))?;
    let header = array_header::read(path, &mut entry)?;
    Ok((Layout::of(path, &header)?, entry))
}

/// Opens a `.npz` archive.
pub(crate) fn open_archive(path: &Path, expected: &[Expected]) -> Result<Archive, Error> {
    let mut file = archive(path)?;
    let names: Vec<String> = file.array_names().map(String::from).collect();
    let labels = names
        .iter()
        .find(|name| LABELS.contains(&name.as_str()))
        .cloned();
    let others: Vec<&String> = names
        .iter()
        .filter(|name| Some(name.as_str()) != labels.as_deref())
        .collect();
    let mut arrays = Vec::new();
    let mut samples = None;
    for input in expected {
        let own = others.iter().find(|name| ***name == input.name);
        let first = others.first().filter(|_| expected.len() == 1);
        let Some(name) = own.or(first) else {
            let problem = match expected.len() {
                1 => Problem::Empty("it has no array of inputs"),
                count => Problem::ManyInputs(count),
            };
            return Err(Error::new(path, problem));
        };
        let (layout, _) = entry(path, &mut file, name)?;
        let count = layout.samples(path, input)?;
        if samples.is_some_and(|samples| samples != count) {
            return Err(Error::new(
                path,
                Problem::Labels("the arrays have different numbers of samples".into()),
            ));
        }
        samples = Some(count);
        arrays.push((name.to_string(), input.elements()));
    }
    Ok(Archive {
        path: path.to_path_buf(),
        arrays,
        labels,
        samples: samples.unwrap_or(0),
    })
}

/// Unpacks an array into a file without a name, which the system removes.
fn unpacked(path: &Path, name: &str) -> Result<Stream<BufReader<File>>, Error> {
    let mut file = archive(path)?;
    let (layout, array) = entry(path, &mut file, name)?;
    let bytes = layout
        .bytes()
        .ok_or_else(|| Error::corrupt(path, "an array is too large"))?;
    let size = std::fs::metadata(path)
        .map_err(|error| Error::new(path, error))?
        .len();
    // Deflate packs at most 1032 bytes into one: more is a trap.
    if bytes / 1100 > size as usize {
        return Err(Error::corrupt(
            path,
            format!("array '{name}' announces {bytes} bytes"),
        ));
    }
    let mut spool = tempfile::tempfile().map_err(|error| Error::new(path, error))?;
    let copied = std::io::copy(&mut array.take(bytes as u64), &mut spool);
    let copied = copied.map_err(|error| Error::corrupt(path, error))?;
    if copied != bytes as u64 {
        return Err(Error::corrupt(path, format!("array '{name}' is cut off")));
    }
    spool.rewind().map_err(|error| Error::new(path, error))?;
    Ok(Stream {
        reader: BufReader::new(spool),
        layout,
        elements: 0,
        next: 0,
    })
}

impl Reader for Archive {
    fn len(&self) -> usize {
        self.samples
    }

    fn read(&self, wanted: Wanted) -> Result<Samples<'_>, Error> {
        let mut streams = Vec::new();
        for (name, elements) in &self.arrays {
            streams.push(Stream {
                elements: *elements,
                ..unpacked(&self.path, name)?
            });
        }
        Ok(Box::new(wanted.iter().map(move |index| {
            let mut values = Vec::new();
            for stream in &mut streams {
                values.extend(stream.sample(&self.path, index)?);
            }
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

    fn labels(&self) -> Result<Option<Labels>, Error> {
        let Some(name) = &self.labels else {
            return Ok(None);
        };
        let Stream {
            mut reader, layout, ..
        } = unpacked(&self.path, name)?;
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| Error::new(&self.path, error))?;
        labels::from_numbers(&self.path, &layout.numbers(&mut bytes)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Source};
    use npyz::WriterBuilder;

    fn write(path: &Path, shape: &[u64], values: &[i8]) {
        let file = File::create(path).unwrap();
        let options = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(file);
        let mut writer = options.begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
    }

    fn expected(shape: &[usize]) -> Expected {
        Expected {
            name: "x".into(),
            shape: shape.to_vec(),
            channels_first: false,
            channel: None,
        }
    }

    #[test]
    fn samples_stand_along_the_first_dimension() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, &[3, 2], &[1, -2, 3, 4, 5, 6]);
        let source = Source::open(
            &path,
            &[expected(&[2, 1])],
            &Options {
                limit: Some(2),
                ..Options::default()
            },
        )
        .unwrap();
        let samples: Vec<Sample> = source.samples().unwrap().map(Result::unwrap).collect();
        assert_eq!(samples[0].values, [1.0, -2.0]);
        assert_eq!(
            (samples[1].values.as_slice(), samples[1].name.as_str()),
            (&[3.0, 4.0][..], "1")
        );
        assert_eq!(source.hash().unwrap(), source.hash().unwrap());
    }

    #[test]
    fn another_order_is_refused_with_what_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, &[3, 2], &[0; 6]);
        let bytes = String::from_utf8(std::fs::read(&path).unwrap().split_off(10)).unwrap();
        let start = std::fs::read(&path).unwrap()[..10].to_vec();
        let other = bytes.replace("'fortran_order': False", "'fortran_order': True ");
        assert_ne!(other, bytes);
        std::fs::write(&path, [start, other.into_bytes()].concat()).unwrap();
        let error = Source::open(&path, &[expected(&[2])], &Options::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("numpy.ascontiguousarray"), "{error}");
    }

    #[test]
    fn other_shapes_are_refused_with_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, &[3, 2], &[0; 6]);
        let error = Source::open(&path, &[expected(&[3])], &Options::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the array is [3, 2], but the input 'x' takes [3] for each sample"),
            "{error}"
        );
    }

    #[test]
    fn truncated_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npy");
        write(&path, &[3, 2], &[0; 6]);
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 4, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = Source::open(&path, &[expected(&[2])], &Options::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains("truncated or corrupt"), "{length}: {error}");
        }
    }

    #[test]
    fn numbers_of_every_width() {
        assert_eq!(Element::Signed(2).number(&[0xfe, 0xff]), -2.0);
        assert_eq!(Element::Unsigned(2).number(&[0xfe, 0xff]), 65534.0);
        assert_eq!(Element::F64.number(&1.5f64.to_le_bytes()), 1.5);
        assert_eq!(Element::F16.number(&[0x00, 0x3e]), 1.5);
        assert_eq!(Element::F16.number(&[0x01, 0x80]), -(2f32.powi(-24)));
    }

    #[test]
    fn archives_hold_inputs_and_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let mut writer = npyz::npz::NpzWriter::create(&path).unwrap();
        let options = npyz::zip::write::FileOptions::default();
        for (name, shape, values) in [
            ("a", vec![2, 1], vec![1i8, 2]),
            ("b", vec![2, 2], vec![3, 4, 5, 6]),
            ("labels", vec![2], vec![1, 0]),
        ] {
            let array = writer.array(name, options).unwrap();
            let mut array = array.default_dtype().shape(&shape).begin_nd().unwrap();
            array.extend(values).unwrap();
            array.finish().unwrap();
        }
        drop(writer);
        let input = |name: &str, shape: &[usize]| Expected {
            name: name.into(),
            ..expected(shape)
        };
        let source = Source::open(
            &path,
            &[input("b", &[2]), input("a", &[1])],
            &Options::default(),
        )
        .unwrap();
        let samples: Vec<Sample> = source.samples().unwrap().map(Result::unwrap).collect();
        assert_eq!(
            (samples[0].values.as_slice(), samples[0].label),
            (&[3.0, 4.0, 1.0][..], Some(1))
        );
        assert_eq!(
            (samples[1].values.as_slice(), samples[1].label),
            (&[5.0, 6.0, 2.0][..], Some(0))
        );
    }
}
