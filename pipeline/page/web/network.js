// Inference of a Keras model. Tensors are {data, shape}, channels last, without a batch axis.

/** The bytes of base64 text. */
const decodeBase64 = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/** The value of float16 bits; an exponent of 0 is of subnormal numbers. */
function float16(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const value = (exponent ? 1024 + fraction : fraction) * 2 ** (Math.max(exponent, 1) - 25);
  return bits & 0x8000 ? -value : value;
}

/** The layers with their weights as tensors: kernels in float16, vectors in float32. */
function decodeLayers({ layers, data }) {
  const { buffer } = decodeBase64(data);
  let offset = 0;
  const decode = (shape) => {
    const isVector = shape.length === 1;
    const bytes = buffer.slice(offset, offset += shape.reduce((a, b) => a * b, isVector ? 4 : 2));
    if (isVector) return { data: new Float32Array(bytes), shape };
    return { data: Float32Array.from(new Uint16Array(bytes), float16), shape };
  };
  return layers.map((layer) => ({ ...layer, weights: layer.weights.map(decode) }));
}

const ACTIVATIONS = {
  linear: (data) => data,
  relu: (data) => data.map((value) => Math.max(value, 0)),
  silu: (data) => data.map((value) => value / (1 + Math.exp(-value))),
  softmax: (data) => {
    const highest = Math.max(...data);
    const powers = Float64Array.from(data, (value) => Math.exp(value - highest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((value) => value / sum);
  },
};

/** Adds to `sums` the product of `count` inputs and the matrix (count, filters) at `tap`. */
function multiplyAdd(sums, inputs, at, count, kernel, tap) {
  for (const end = at + count; at < end; at++, tap += sums.length) {
    for (let k = 0; k < sums.length; k++) sums[k] += inputs[at] * kernel[tap + k];
  }
}

/** The maximum of each channel in windows of `size`. */
function maxPool({ data, shape: [height, width, channels] }, [rows, columns], [down, right]) {
  const outHeight = Math.floor((height - rows) / down) + 1;
  const outWidth = Math.floor((width - columns) / right) + 1;
  const out = new Float32Array(outHeight * outWidth * channels).fill(-Infinity);
  for (let to = 0; to < out.length; to++) {
    const k = to % channels, cell = (to - k) / channels, x = cell % outWidth;
    const first = ((cell - x) / outWidth * down * width + x * right) * channels + k;
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        out[to] = Math.max(out[to], data[first + (i * width + j) * channels]);
      }
    }
  }
  return { data: out, shape: [outHeight, outWidth, channels] };
}

const flatten = ({ data }) => ({ data, shape: [data.length] });

const LAYERS = {
  InputLayer: (image) => image,
  Dropout: (image) => image,
  Flatten: flatten,
  Activation: ({ data, shape }, { activation }) => ({ data: ACTIVATIONS[activation](data), shape }),
  MaxPooling2D: (image, { pool_size, strides }) => maxPool(image, pool_size, strides),
  GlobalMaxPooling2D: (image) => flatten(maxPool(image, image.shape, [1, 1])),
  Conv2D({ data, shape: [height, width] }, { padding, activation, weights: [kernel, bias] }) {
    const [rows, columns, channels, filters] = kernel.shape, same = padding === "same";
    const outHeight = same ? height : height - rows + 1;
    const outWidth = same ? width : width - columns + 1;
    // TensorFlow pads the odd row or column at the end.
    const top = same ? (rows - 1) >> 1 : 0, left = same ? (columns - 1) >> 1 : 0;
    const out = new Float32Array(outHeight * outWidth * filters), sums = new Float64Array(filters);
    for (let y = 0; y < outHeight; y++) {
      for (let x = 0; x < outWidth; x++) {
        sums.set(bias?.data ?? sums.fill(0));
        const first = Math.max(0, x - left), end = Math.min(width, x - left + columns);
        for (let row = Math.max(0, y - top); row < Math.min(height, y - top + rows); row++) {
          const tap = (row - y + top) * columns + first - x + left;
          multiplyAdd(sums, data, (row * width + first) * channels, (end - first) * channels,
            kernel.data, tap * channels * filters);
        }
        out.set(sums, (y * outWidth + x) * filters);
      }
    }
    return { data: ACTIVATIONS[activation](out), shape: [outHeight, outWidth, filters] };
  },
  BatchNormalization({ data, shape }, { epsilon, scale, center, weights }) {
    const arrays = weights.map((array) => array.data);
    const gamma = scale && arrays.shift(), beta = center && arrays.shift();
    const [means, variances] = arrays, channels = means.length;
    const factor = means.map((_, k) => (gamma ? gamma[k] : 1) / Math.sqrt(variances[k] + epsilon));
    const offset = means.map((mean, k) => (beta ? beta[k] : 0) - mean * factor[k]);
    const normalize = (value, i) => value * factor[i % channels] + offset[i % channels];
    return { data: data.map(normalize), shape };
  },
  Dense({ data }, { activation, weights: [{ data: kernel, shape: [inputs, units] }, bias] }) {
    const sums = new Float64Array(bias?.data ?? units);
    multiplyAdd(sums, data, 0, inputs, kernel, 0);
    return { data: ACTIVATIONS[activation](sums), shape: [units] };
  },
};

/** The image translated by `shift` pixels along the diagonal, its edge reflected, and flipped. */
function augment({ data, shape }, shift, flip) {
  const [height, width, channels] = shape;
  const reflect = (at, size) => (at < 0 ? -1 - at : at >= size ? 2 * size - 1 - at : at);
  const pixels = data.map((_, i) => {
    const k = i % channels, x = ((i - k) / channels) % width, y = Math.floor(i / channels / width);
    const column = reflect((flip ? width - 1 - x : x) + shift, width);
    return data[(reflect(y + shift, height) * width + column) * channels + k];
  });
  return { data: pixels, shape };
}

/** A function from an image, float32 (H, W, C) in [0, 1], to the probabilities of the classes. */
function loadNetwork({ tta, temperature, ...model }) {
  const layers = decodeLayers(model);
  layers.at(-1).activation = "linear"; // logits
  const compute = (tensor, layer) => LAYERS[layer.class_name](tensor, layer);
  const logits = (image) => layers.reduce(compute, image).data;
  const probabilities = (values) => ACTIVATIONS.softmax(values.map((value) => value / temperature));
  const { shift } = tta, flips = tta.horizontal_flip ? [false, true] : [false];
  const shifts = shift ? [[0, 0.5], [-shift, 0.25], [shift, 0.25]] : [[0, 1]];
  const views = shifts.flatMap(
    ([by, share]) => flips.map((flip) => ({ by, flip, weight: share / flips.length })));
  return (image) => {
    const first = logits(image);
    if (Math.max(...probabilities(first)) >= tta.confidence_threshold) return probabilities(first);
    const total = first.map((value) => value * views[0].weight);
    for (const { by, flip, weight } of views.slice(1)) {
      logits(augment(image, by, flip)).forEach((value, k) => { total[k] += value * weight; });
    }
    return probabilities(total);
  };
}
