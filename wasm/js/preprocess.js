import { ModeloptError } from './errors.js';

/** Channels of raw data: the last axis, or where channels come first the one behind the batch. */
function channelCount({ shape, preprocess }) {
  const axis = preprocess.channelsFirst && shape.length > 2 ? shape.length - 3 : shape.length - 1;
  return shape[axis] ?? 1;
}

/** RGBA pixels as RGB or, by the luma weights of Rec. 709 in whole numbers, as grey. */
function withoutAlpha({ data, width, height }, port, channels) {
  const pixels = width * height;
  if (channels !== 1 && channels !== 3) {
    throw new ModeloptError('pixels', `input '${port.name}' takes ${channels} channels, which an image does not have`, 'Pass an array of raw values.', { tensor: port.name });
  }
  const raw = new Uint8Array(pixels * channels);
  for (let i = 0; i < pixels; i += 1) {
    const [red, green, blue] = [data[i * 4], data[i * 4 + 1], data[i * 4 + 2]];
    if (channels === 1) raw[i] = Math.floor((2126 * red + 7152 * green + 722 * blue) / 10000);
    else raw.set([red, green, blue], i * 3);
  }
  return raw;
}

/**
 * `(value * scale - mean[c]) / std[c]` of raw data in the order height, width, channel. Every
 * step is rounded to single precision, as it is where the model was evaluated.
 */
export function preprocess(raw, port) {
  const channels = channelCount(port);
  const isImage = raw.data !== undefined && raw.width !== undefined;
  const values = isImage ? withoutAlpha(raw, port, channels) : raw;
  const elements = port.shape.reduce((product, dim) => product * dim, 1);
  if (values.length !== elements) {
    throw new ModeloptError('input-size', `input '${port.name}' takes ${elements} raw values (${port.shape.join('x')}), but there are ${values.length}`, 'Resize or crop the data first.', { tensor: port.name });
  }
  const { scale, mean, std, channelsFirst } = port.preprocess;
  const ofChannel = (list, channel, none) => (list.length > 1 ? list[channel] : list[0]) ?? none;
  const pixels = elements / channels;
  const result = new Float32Array(elements);
  for (let c = 0; c < channels; c += 1) {
    const [shift, divisor] = [ofChannel(mean, c, 0), ofChannel(std, c, 1)];
    for (let i = 0; i < pixels; i += 1) {
      const scaled = Math.fround(Math.fround(values[i * channels + c]) * scale);
      const value = Math.fround(scaled - shift) / divisor;
      result[channelsFirst ? c * pixels + i : i * channels + c] = value;
    }
  }
  return result;
}
