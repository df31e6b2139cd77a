//! A check of the protobuf encoding before it is parsed.
//!
//! The parser trusts lengths, recurses into messages and reads on for ever where a packed list
//! ends inside an element. After this check every length lies inside its message, every packed
//! list ends with an element and nesting is bounded, so the parser can neither allocate more than
//! the file's size at once, nor exhaust the stack, nor run for ever.

/// Deeper nesting is refused. A sub-graph costs three levels.
const DEEPEST: usize = 64;

/// The messages of ONNX that hold other messages.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    SequenceType,
    Shape,
    Leaf,
}

impl Message {
    /// The message in a field, `None` for anything else.
    fn child(self, field: u64) -> Option<Message> {
        Some(match (self, field) {
            (Message::Model, 7) | (Message::Attribute, 6) => Message::Graph,
            (Message::Model, 8 | 14) | (Message::Tensor, 13) | (Message::Shape, 1) => Message::Leaf,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 5) | (Message::Attribute, 5) => Message::Tensor,
            (Message::Graph, 11..=13) => Message::ValueInfo,
            (Message::Node, 5) => Message::Attribute,
            (Message::ValueInfo, 2) | (Message::SequenceType, 1) => Message::Type,
            (Message::Type, 1) => Message::TensorType,
            (Message::Type, 4) => Message::SequenceType,
            (Message::TensorType, 2) => Message::Shape,
            _ => return None,
        })
    }
}

/// The elements of a packed list.
#[derive(Clone, Copy)]
enum Packed {
    Varints,
    Fixed(u64),
}

impl Message {
    /// The elements of a field that may hold a packed list, `None` for anything else.
    fn packed(self, field: u64) -> Option<Packed> {
        Some(match (self, field) {
            (Message::Tensor, 1 | 5 | 7 | 11) | (Message::Attribute, 8) => Packed::Varints,
            (Message::Tensor, 4) | (Message::Attribute, 7) => Packed::Fixed(4),
            (Message::Tensor, 10) => Packed::Fixed(8),
            _ => return None,
        })
    }
}

/// Checks that a packed list at `start..end` ends with an element.
fn check_packed(bytes: &[u8], packed: Packed, start: usize, end: usize) -> Result<(), String> {
    let mut at = start;
    match packed {
        Packed::Varints => {
            while at < end {
                varint(bytes, &mut at, end)?;
            }
            Ok(())
        }
        Packed::Fixed(width) if ((end - start) as u64).is_multiple_of(width) => Ok(()),
        Packed::Fixed(width) => Err(format!(
            "the list at byte {start} is not a whole number of elements of {width} bytes"
        )),
    }
}

/// Checks that the bytes are a well-formed model message.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut open = vec![(Message::Model, bytes.len())];
    let mut at = 0;
    while let Some(&(message, end)) = open.last() {
        if at == end {
            open.pop();
            continue;
        }
        let key = varint(bytes, &mut at, end)?;
        match key & 7 {
            0 => {
                varint(bytes, &mut at, end)?;
            }
            1 => advance(&mut at, 8, end)?,
            5 => advance(&mut at, 4, end)?,
            2 => {
                let length = varint(bytes, &mut at, end)?;
                let start = at;
                advance(&mut at, length, end)?;
                if let Some(packed) = message.packed(key >> 3) {
                    check_packed(bytes, packed, start, at)?;
                }
                if let Some(child) = message.child(key >> 3) {
                    open.push((child, at));
                    at = start;
                }
                if open.len() > DEEPEST {
                    return Err(format!("messages nest deeper than {DEEPEST} at byte {at}"));
                }
            }
            kind => return Err(format!("unknown wire type {kind} at byte {at}")),
        }
    }
    Ok(())
}

fn advance(at: &mut usize, length: u64, end: usize) -> Result<(), String> {
    let left = (end - *at) as u64;
    if length > left {
        return Err(format!(
            "{length} bytes are announced at byte {at} where {left} are left"
        ));
    }
    *at += length as usize;
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize, end: usize) -> Result<u64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = bytes.get(*at).filter(|_| *at < end);
        let &byte = byte.ok_or_else(|| format!("a number is cut off at byte {at}"))?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return Err(format!("a number exceeds 64 bits at byte {at}"));
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(format!("a number exceeds 64 bits at byte {at}"))
}

/// A message as a field of another.
pub(super) fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut left = message.len();
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes.extend(message);
    bytes
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn lengths_stay_inside_their_message() {
        // Field 7 (graph) of 2 bytes, holding field 1 (node) of 0 bytes.
        assert_eq!(check(&[0x3a, 2, 0x0a, 0]), Ok(()));
        assert!(
            check(&[0x3a, 2, 0x0a, 1, 0])
                .unwrap_err()
                .contains("announced")
        );
        assert!(
            check(&[0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f])
                .unwrap_err()
                .contains("announced")
        );
        assert!(check(&[0x3b]).unwrap_err().contains("wire type"));
        assert!(check(&[0x80; 11]).unwrap_err().contains("64 bits"));
        assert!(check(&[0x80]).unwrap_err().contains("cut off"));
    }

    /// A length-delimited field.
    fn field(tag: u8, inside: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        let mut length = inside.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(inside);
        bytes
    }

    #[test]
    fn packed_lists_end_with_an_element() {
        // Field 1 (dims) of a tensor in a graph: numbers 1 and 300, then one cut off.
        let model = |dims: &[u8]| field(0x3a, &field(0x2a, &field(0x0a, dims)));
        assert_eq!(check(&model(&[1, 0xac, 0x02])), Ok(()));
        assert!(check(&model(&[1, 0xac])).unwrap_err().contains("cut off"));
        // Field 4: floats.
        let model = |floats: &[u8]| field(0x3a, &field(0x2a, &field(0x22, floats)));
        assert_eq!(check(&model(&[0; 8])), Ok(()));
        assert!(check(&model(&[0; 7])).unwrap_err().contains("4 bytes"));
    }

    #[test]
    fn endless_nesting_is_refused() {
        // A graph in an attribute in a node in a graph, and so on.
        let nested = |levels: usize| {
            let wrap = |inside: Vec<u8>| field(0x0a, &field(0x2a, &field(0x32, &inside)));
            field(0x3a, &(0..levels).fold(vec![], |inside, _| wrap(inside)))
        };
        assert_eq!(check(&nested(5)), Ok(()));
        assert!(check(&nested(100)).unwrap_err().contains("nest"));
    }
}
