//! A reader of FlatBuffers that trusts nothing: every offset and every length is checked where it
//! is followed, so that no bytes can make it panic or read beyond them. What is read is paid for from a
//! budget in proportion to the file: tables that share parts cannot make a small file a large one.

use std::cell::Cell;

/// What is wrong with the bytes, in words.
pub(super) type Read<T> = Result<T, String>;

/// A file and the bytes that may still be read of it.
#[derive(Debug)]
pub(super) struct Buffer<'a> {
    bytes: &'a [u8],
    budget: Cell<usize>,
}

impl<'a> Buffer<'a> {
    /// A buffer of which no more than a few times its length is read.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let budget = Cell::new(bytes.len().saturating_mul(8).saturating_add(1 << 16));
        Buffer { bytes, budget }
    }

    /// Pays for bytes that are read.
    pub(super) fn pay(&self, bytes: usize) -> Read<()> {
        let left = self.budget.get().checked_sub(bytes);
        self.budget
            .set(left.ok_or("its parts overlap so often that it would grow many times")?);
        Ok(())
    }

    /// A range of the file itself.
    pub(super) fn range(&self, start: u64, bytes: u64) -> Read<&'a [u8]> {
        let whole = || {
            let (start, bytes) = (usize::try_from(start).ok()?, usize::try_from(bytes).ok()?);
            self.bytes.get(start..start.checked_add(bytes)?)
        };
        whole().ok_or_else(|| format!("{bytes} bytes from byte {start} on are beyond the end"))
    }
}

/// A table: fields that may be absent, found by their numbers in the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    buffer: &'a Buffer<'a>,
    at: usize,
    /// Where the table of field places starts, and its size in bytes.
    fields: usize,
    fields_bytes: usize,
}

/// Elements one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector<'a> {
    buffer: &'a Buffer<'a>,
    /// The first element.
    at: usize,
    length: usize,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Read<[u8; N]> {
    let end = at.checked_add(N);
    let found = end.and_then(|end| bytes.get(at..end)?.try_into().ok());
    found.ok_or_else(|| format!("byte {at} is beyond the end"))
}

fn unsigned(bytes: &[u8], at: usize) -> Read<usize> {
    Ok(u32::from_le_bytes(array(bytes, at)?) as usize)
}

/// The place that the offset at `at` points to.
fn follow(bytes: &[u8], at: usize) -> Read<usize> {
    let target = at.checked_add(unsigned(bytes, at)?);
    target
        .filter(|&target| target > at && target < bytes.len())
        .ok_or_else(|| format!("the offset at byte {at} points outside"))
}

impl<'a> Table<'a> {
    /// The table that the whole buffer is.
    pub(super) fn root(buffer: &'a Buffer<'a>) -> Read<Self> {
        Self::at(buffer, follow(buffer.bytes, 0)?)
    }

    fn at(buffer: &'a Buffer<'a>, at: usize) -> Read<Self> {
        let bytes = buffer.bytes;
        let back = i64::from(i32::from_le_bytes(array(bytes, at)?));
        let fields = usize::try_from(at as i64 - back);
        let fields = fields.map_err(|_| format!("the table at byte {at} has no fields"))?;
        let fields_bytes = usize::from(u16::from_le_bytes(array(bytes, fields)?));
        Ok(Table {
            buffer,
            at,
            fields,
            fields_bytes,
        })
    }

    /// Where field `number` is; `None` where it is absent.
    fn field(&self, number: usize) -> Read<Option<usize>> {
        let place = 4 + 2 * number;
        if place + 2 > self.fields_bytes {
            return Ok(None);
        }
        let offset = u16::from_le_bytes(array(self.buffer.bytes, self.fields + place)?);
        Ok((offset > 0).then(|| self.at + usize::from(offset)))
    }

    fn scalar<const N: usize>(&self, number: usize) -> Read<Option<[u8; N]>> {
        match self.field(number)? {
            Some(at) => array(self.buffer.bytes, at).map(Some),
            None => Ok(None),
        }
    }

    /// A signed byte, as enumerations are.
    pub(super) fn i8(&self, number: usize, default: i8) -> Read<i8> {
        Ok(self.scalar(number)?.map_or(default, i8::from_le_bytes))
    }

    /// A truth value.
    pub(super) fn bool(&self, number: usize) -> Read<bool> {
        Ok(self.i8(number, 0)? != 0)
    }

    /// A signed word.
    pub(super) fn i32(&self, number: usize, default: i32) -> Read<i32> {
        Ok(self.scalar(number)?.map_or(default, i32::from_le_bytes))
    }

    /// An unsigned word.
    pub(super) fn u32(&self, number: usize) -> Read<u32> {
        Ok(self.scalar(number)?.map_or(0, u32::from_le_bytes))
    }

    /// An unsigned double word.
    pub(super) fn u64(&self, number: usize) -> Read<u64> {
        Ok(self.scalar(number)?.map_or(0, u64::from_le_bytes))
    }

    /// A float.
    pub(super) fn f32(&self, number: usize, default: f32) -> Read<f32> {
        Ok(self.scalar(number)?.map_or(default, f32::from_le_bytes))
    }

    /// A table inside this one.
    pub(super) fn table(&self, number: usize) -> Read<Option<Table<'a>>> {
        match self.field(number)? {
            Some(at) => Self::at(self.buffer, follow(self.buffer.bytes, at)?).map(Some),
            None => Ok(None),
        }
    }

    /// Elements of `width` bytes; none where the field is absent.
    pub(super) fn vector(&self, number: usize, width: usize) -> Read<Option<Vector<'a>>> {
        let Some(at) = self.field(number)? else {
            return Ok(None);
        };
        let bytes = self.buffer.bytes;
        let start = follow(bytes, at)?;
        let (at, length) = (start + 4, unsigned(bytes, start)?);
        let end = length.checked_mul(width).and_then(|n| n.checked_add(at));
        if end.is_none_or(|end| end > bytes.len()) {
            return Err(format!(
                "{length} elements at byte {start} are beyond the end"
            ));
        }
        let buffer = self.buffer;
        Ok(Some(Vector { buffer, at, length }))
    }

    /// Bytes, where they lie; none where the field is absent.
    pub(super) fn bytes(&self, number: usize) -> Read<&'a [u8]> {
        Ok(self.vector(number, 1)?.map_or(&[], |vector| {
            let range = vector.at..vector.at + vector.length;
            vector.buffer.bytes.get(range).unwrap_or(&[])
        }))
    }

    /// Text; empty where the field is absent.
    pub(super) fn text(&self, number: usize) -> Read<String> {
        let bytes = self.bytes(number)?;
        self.buffer.pay(bytes.len())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Signed words; empty where the field is absent.
    pub(super) fn words(&self, number: usize) -> Read<Vec<i32>> {
        self.elements(number, i32::from_le_bytes)
    }

    /// Elements read by their bytes; empty where the field is absent.
    pub(super) fn elements<const N: usize, T>(
        &self,
        number: usize,
        read: fn([u8; N]) -> T,
    ) -> Read<Vec<T>> {
        let Some(vector) = self.vector(number, N)? else {
            return Ok(Vec::new());
        };
        self.buffer.pay(vector.length * N)?;
        let bytes = self.buffer.bytes;
        let each = (0..vector.length).map(|i| array(bytes, vector.at + i * N).map(read));
        each.collect()
    }

    /// Tables one behind the other; none where the field is absent.
    pub(super) fn tables(&self, number: usize) -> Read<Tables<'a>> {
        Ok(Tables(self.vector(number, 4)?))
    }
}

/// A vector of tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a>(Option<Vector<'a>>);

impl<'a> Tables<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.map_or(0, |vector| vector.length)
    }

    /// The table at `index`.
    pub(super) fn get(&self, index: usize) -> Read<Table<'a>> {
        let vector = self.0.filter(|vector| index < vector.length);
        let vector = vector.ok_or_else(|| format!("there is no element {index}"))?;
        let at = follow(vector.buffer.bytes, vector.at + index * 4)?;
        Table::at(vector.buffer, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root table with the fields 7 (a word) and a vector of two words, written by hand.
    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        // Root offset; the table of field places: its size, the table's size, two fields.
        bytes.extend(12u32.to_le_bytes());
        for half in [8u16, 12, 4, 8] {
            bytes.extend(half.to_le_bytes());
        }
        bytes.extend(8i32.to_le_bytes());
        bytes.extend(7i32.to_le_bytes());
        bytes.extend(4u32.to_le_bytes());
        for word in [2i32, -5, 9] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn fields_are_found_by_number() {
        let bytes = sample();
        let buffer = Buffer::new(&bytes);
        let table = Table::root(&buffer).unwrap();
        assert_eq!(table.i32(0, 0), Ok(7));
        assert_eq!(table.words(1), Ok(vec![-5, 9]));
        assert_eq!(table.i32(2, 42), Ok(42));
    }

    #[test]
    fn what_points_outside_is_an_error() {
        let mut bytes = sample();
        bytes[24] = 200;
        let buffer = Buffer::new(&bytes);
        let table = Table::root(&buffer).unwrap();
        assert!(table.words(1).is_err());
        assert!(Table::root(&Buffer::new(&bytes[..14])).is_err());
        assert!(Table::root(&Buffer::new(&[])).is_err());
    }

    #[test]
    fn reading_the_same_bytes_again_and_again_ends() {
        let bytes = sample();
        let buffer = Buffer::new(&bytes);
        let table = Table::root(&buffer).unwrap();
        assert!((0..100_000).any(|_| table.words(1).is_err()));
    }
}
