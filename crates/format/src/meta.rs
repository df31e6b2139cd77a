//! The part of a model that only hosts and browsers read: names, layouts, preprocessing, labels,
//! and where the model came from. It is stored with postcard.

use crate::{Error, Model, Reason};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Everything about a model that its execution does not need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// The inputs, in order.
    pub inputs: Vec<Port>,
    /// The outputs, in order.
    pub outputs: Vec<Port>,
    /// Where the model came from and how it was made.
    pub manifest: Manifest,
}

/// A named input or output as the caller sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Port {
    /// The name in the source model.
    pub name: String,
    /// The shape that the source model declares; the leading batch dimension is 1.
    pub shape: Vec<u32>,
    /// How the caller's dimensions map to those of the tensor: tensor axis `i` is the caller's
    /// axis `axes[i]`. Empty when they are the same. An image model from PyTorch takes
    /// `[N, C, H, W]` and stores `[0, 2, 3, 1]` here.
    pub axes: Vec<u8>,
    /// What is done to raw data before it becomes this input.
    pub preprocess: Preprocess,
    /// The names of the classes, where the port is a vector of scores.
    pub labels: Vec<String>,
}

/// `(value * scale - mean[c]) / std[c]` per channel of the raw data, after resizing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// Factor applied first.
    pub scale: f32,
    /// Subtracted per channel; one value serves all channels; empty means 0.
    pub mean: Vec<f32>,
    /// Divisor per channel; one value serves all channels; empty means 1.
    pub std: Vec<f32>,
    /// Whether channels come first (`CHW`) in what the model takes, for raw data in `HWC`.
    pub channels_first: bool,
    /// What is taken of sound with several channels, where that was said. It is stored behind everything else,
    /// and only if it was: files without it are as they were before there was such a thing.
    #[serde(skip)]
    pub channel: Option<Channel>,
}

/// What is taken of sound with several channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// One of them, counted from 0.
    One(u16),
    /// The mean of all.
    Mix,
}

impl FromStr for Channel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mix" => Ok(Channel::Mix),
            _ => text
                .parse()
                .map(Channel::One)
                .map_err(|_| format!("'{text}' is neither a number from 0 on nor 'mix'")),
        }
    }
}

/// As it is read by [`FromStr`].
impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::One(index) => index.fmt(f),
            Channel::Mix => f.write_str("mix"),
        }
    }
}

impl Default for Preprocess {
    fn default() -> Self {
        Preprocess {
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            channels_first: false,
            channel: None,
        }
    }
}

/// How a model was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name and version of the program that wrote the file.
    pub tool: String,
    /// SHA-256 of the source model, empty when unknown.
    pub source_hash: Vec<u8>,
    /// SHA-256 of the calibration data, empty when there was none.
    pub data_hash: Vec<u8>,
    /// The options that made it, as they would be typed.
    pub recipe: String,
    /// The evaluator's figures, by name.
    pub figures: Vec<(String, f32)>,
}

impl Meta {
    /// Reads the signature and the manifest of a checked model.
    pub fn of(model: &Model<'_>) -> Result<Self, Error> {
        let meta = Meta::read(model.meta_bytes()).ok_or(Error::new(Reason::Meta, 0))?;
        let fits =
            meta.inputs.len() == model.input_count() && meta.outputs.len() == model.output_count();
        if fits {
            Ok(meta)
        } else {
            Err(Error::new(Reason::Meta, 0))
        }
    }

    /// As it is stored; `None` where it is too long.
    #[cfg(feature = "write")]
    pub(crate) fn stored(&self) -> Option<Vec<u8>> {
        let mut bytes = postcard::to_allocvec(self).ok()?;
        let channels = self.inputs.iter().map(|input| input.preprocess.channel);
        let channels: Vec<Option<Channel>> = channels.collect();
        if channels.iter().any(Option::is_some) {
            bytes.extend(postcard::to_allocvec(&channels).ok()?);
        }
        Some(bytes)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (mut meta, behind) = postcard::take_from_bytes::<Meta>(bytes).ok()?;
        if !behind.is_empty() {
            let channels: Vec<Option<Channel>> = postcard::from_bytes(behind).ok()?;
            for (input, channel) in meta.inputs.iter_mut().zip(channels) {
                input.preprocess.channel = channel;
            }
        }
        Some(meta)
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    /// Readers from before there were channels see what they always saw.
    #[test]
    fn channels_are_stored_behind_what_was_there_before() {
        let port = |channel| Port {
            name: "sound".into(),
            preprocess: Preprocess {
                channel,
                ..Preprocess::default()
            },
            ..Port::default()
        };
        let mut meta = Meta {
            inputs: [None, None].map(port).to_vec(),
            ..Meta::default()
        };
        let before = meta.stored().unwrap();
        assert_eq!(before, postcard::to_allocvec(&meta).unwrap());
        assert_eq!(Meta::read(&before).unwrap(), meta);
        let plain = meta.clone();
        for channel in [Channel::One(3), Channel::Mix] {
            meta.inputs[1] = port(Some(channel));
            let stored = meta.stored().unwrap();
            assert_eq!(Meta::read(&stored).unwrap(), meta);
            assert_eq!(postcard::from_bytes::<Meta>(&stored).unwrap(), plain);
            assert!(Meta::read(&stored[..stored.len() - 1]).is_none());
            assert_eq!(format!("{channel}").parse(), Ok(channel));
        }
    }
}
