// A trained Keras network, computed here. Tensors are {data, shape}, channels last, without batch.

/** Decodes base64. */
function bytesOf(base64) {
  const letters = atob(base64), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

const POWERS = Array.from({ length: 32 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 25));

/** A number of 16 bits (IEEE 754 binary16) as JavaScript has numbers. */
function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = (exponent ? 1024 + fraction : fraction) * POWERS[exponent];
  return bits & 32768 ? -size : size;
}

/** The arrays of each layer by its name, in Keras's order. */
function weightsOf({ weights, data }) {
  const view = new DataView(bytesOf(data).buffer), found = {};
  let at = 0;
  for (const { layer, shape, dtype } of weights) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const bytes = dtype === "float16" ? 2 : 4;
    for (let i = 0; i < values.length; i++, at += bytes) {
      values[i] = bytes === 2 ? half(view.getUint16(at, true)) : view.getFloat32(at, true);
    }
    (found[layer] ??= []).push({ data: values, shape });
  }
  return found;
}

const ACTIVATIONS = {
  linear: (data) => data,
  relu: (data) => data.map((value) => Math.max(value, 0)),
  silu: (data) => data.map((value) => value / (1 + Math.exp(-value))),
  // Of float64, as scores.py has it; Keras's last layer is asked without it.
  softmax: (data) => {
    const highest = Math.max(...data), powers = Array.from(data, (v) => Math.exp(v - highest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((value) => value / sum);
  },
};

/** Applies `combine` to the values of each channel in windows of rows by columns, which it visits. */
function pooled({ data, shape: [height, width, channels] }, [rows, columns], [down, right], combine) {
  const outHeight = Math.floor((height - rows) / down) + 1;
  const outWidth = Math.floor((width - columns) / right) + 1;
  const out = new Float32Array(outHeight * outWidth * channels);
  let at = 0;
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      for (let channel = 0; channel < channels; channel++) {
        out[at++] = combine((visit) => {
          for (let i = 0; i < rows; i++) {
            for (let j = 0; j < columns; j++) {
              visit(data[((y * down + i) * width + x * right + j) * channels + channel]);
            }
          }
        });
      }
    }
  }
  return { data: out, shape: [outHeight, outWidth, channels] };
}

function highest(values) {
  let found = -Infinity;
  values((value) => { if (value > found) found = value; });
  return found;
}

function mean(values) {
  let sum = 0, count = 0;
  values((value) => { sum += value; count++; });
  return sum / count;
}

function everywhere(image, combine) {
  const { data, shape } = pooled(image, image.shape, [1, 1], combine);
  return { data, shape: shape.slice(2) };
}

const unchanged = (tensor) => tensor;

// By Keras's names for the layers; packed.py lets no other into a page.
const LAYERS = {
  InputLayer: unchanged,
  Dropout: unchanged,

  Conv2D({ data, shape: [height, width, channels] }, { strides, padding, activation }, [kernel, bias]) {
    const [rows, columns, , filters] = kernel.shape, [down, right] = strides;
    const same = padding === "same";
    const outHeight = Math.ceil((same ? height : height - rows + 1) / down);
    const outWidth = Math.ceil((same ? width : width - columns + 1) / right);
    // TensorFlow adds the odd row or column at the end.
    const before = (out, step, size, kernelSize) =>
      same ? Math.max(0, (out - 1) * step + kernelSize - size) >> 1 : 0;
    const top = before(outHeight, down, height, rows), left = before(outWidth, right, width, columns);
    const out = new Float32Array(outHeight * outWidth * filters), taps = kernel.data;
    const sums = new Float64Array(filters);
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        sums.fill(0);
        for (let i = 0; i < rows; i++) {
          const row = y * down + i - top;
          if (row < 0 || row >= height) continue;
          for (let j = 0; j < columns; j++) {
            const column = x * right + j - left;
            if (column < 0 || column >= width) continue;
            let tap = (i * columns + j) * channels * filters;
            const from = (row * width + column) * channels;
            let channel = 0;
            // Four at a time, so that `sums` is read and written a quarter as often: 2.4 times as fast.
            for (; channel + 4 <= channels; channel += 4, tap += 4 * filters) {
              const at = from + channel;
              const a = data[at], b = data[at + 1], c = data[at + 2], d = data[at + 3];
              const second = tap + filters, third = second + filters, fourth = third + filters;
              for (let filter = 0; filter < filters; filter++) {
                sums[filter] += a * taps[tap + filter] + b * taps[second + filter]
                  + c * taps[third + filter] + d * taps[fourth + filter];
              }
            }
            for (; channel < channels; channel++, tap += filters) {
              const value = data[from + channel];
              for (let filter = 0; filter < filters; filter++) sums[filter] += value * taps[tap + filter];
            }
          }
        }
        const to = (y * outWidth + x) * filters;
        for (let filter = 0; filter < filters; filter++) {
          out[to + filter] = sums[filter] + (bias ? bias.data[filter] : 0);
        }
      }
    }
    return { data: ACTIVATIONS[activation](out), shape: [outHeight, outWidth, filters] };
  },

  BatchNormalization({ data, shape }, { epsilon, scale, center }, weights) {
    const arrays = weights.map((array) => array.data);
    const gamma = scale && arrays.shift(), beta = center && arrays.shift();
    const [means, variances] = arrays, channels = means.length;
    const factor = Float64Array.from(variances, (v, i) => (gamma ? gamma[i] : 1) / Math.sqrt(v + epsilon));
    const term = factor.map((value, i) => (beta ? beta[i] : 0) - means[i] * value);
    return { data: data.map((value, i) => value * factor[i % channels] + term[i % channels]), shape };
  },

  MaxPooling2D: (image, { pool_size, strides }) => pooled(image, pool_size, strides, highest),
  GlobalMaxPooling2D: (image) => everywhere(image, highest),
  GlobalAveragePooling2D: (image) => everywhere(image, mean),
  Flatten: ({ data }) => ({ data, shape: [data.length] }),

  Dense({ data }, { activation }, [kernel, bias]) {
    const [inputs, units] = kernel.shape, sums = new Float64Array(units);
    for (let i = 0; i < inputs; i++) {
      for (let unit = 0; unit < units; unit++) sums[unit] += data[i] * kernel.data[i * units + unit];
    }
    const biased = sums.map((sum, unit) => sum + (bias ? bias.data[unit] : 0));
    return { data: ACTIVATIONS[activation](biased), shape: [units] };
  },

  Activation: ({ data, shape }, { activation }) => ({ data: ACTIVATIONS[activation](data), shape }),
};

/** The image `data` from `move` pixels further down and right on, its edge mirrored; or its mirror image. */
function view({ data, shape: [height, width, channels] }, move, mirrored) {
  const out = new Float32Array(data.length);
  const inside = (place, size) => (place < 0 ? -1 - place : place >= size ? 2 * size - 1 - place : place);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const row = inside(y + move, height);
      const column = inside((mirrored ? width - 1 - x : x) + move, width);
      for (let c = 0; c < channels; c++) {
        out[(y * width + x) * channels + c] = data[(row * width + column) * channels + c];
      }
    }
  }
  return { data: out, shape: [height, width, channels] };
}

/** A function from pixels, float32 in [0, 1] (H, W, C), to the probability of each class. */
function opened({ views: { mirrored, shift, sure }, temperature, ...network }) {
  const weights = weightsOf(network), { config } = network.config;
  const layers = config.layers.map(({ class_name, config }, number, all) => ({
    compute: LAYERS[class_name],
    config: number === all.length - 1 ? { ...config, activation: "linear" } : config,
    weights: weights[config.name] ?? [],
  }));
  const logits = (image) =>
    layers.reduce((tensor, { compute, config, weights }) => compute(tensor, config, weights), image).data;
  const probabilities = (found) => ACTIVATIONS.softmax(found.map((value) => value / temperature));
  const sides = mirrored ? [false, true] : [false];
  const moves = shift ? [[0, 0.5], [-shift, 0.25], [shift, 0.25]] : [[0, 1]];
  const [[, weight], ...others] = moves.flatMap(([move, weight]) =>
    sides.map((side) => [(image) => logits(view(image, move, side)), weight / sides.length]));
  return (image) => {
    const alone = Float64Array.from(logits(image)), first = probabilities(alone);
    if (Math.max(...first) >= sure) return first;
    const total = alone.map((value) => value * weight);
    for (const [ask, weight] of others) ask(image).forEach((value, i) => { total[i] += value * weight; });
    return probabilities(total);
  };
}
