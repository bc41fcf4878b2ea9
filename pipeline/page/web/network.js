// Inference of a Keras model. Tensors are {data, shape}, channels last, without a batch axis.

/** The value of float16 bits; an exponent of 0 is of subnormal numbers. */
function float16(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const value = (exponent ? 1024 + fraction : fraction) * 2 ** (Math.max(exponent, 1) - 25);
  return bits & 0x8000 ? -value : value;
}

/** The layers with their weights as tensors: kernels in float16, vectors in float32. */
function decodeLayers({ layers, data }) {
  const { buffer } = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
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
};

function softmax(logits) {
  const highest = Math.max(...logits);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((value) => value / sum);
}

/** Adds to `sums` the product of `count` inputs and the matrix (count, filters) at `tap`. */
function multiplyAdd(sums, inputs, at, count, kernel, tap) {
  for (const end = at + count; at < end; at++, tap += sums.length) {
    for (let k = 0; k < sums.length; k++) sums[k] += inputs[at] * kernel[tap + k];
  }
}

/** Positions of a window of `length` from `start`, of which `first` to `end` are in the image. */
function windows(size, length, stride, padding) {
  const same = padding === "same";
  const count = same ? Math.ceil(size / stride) : Math.floor((size - length) / stride) + 1;
  // TensorFlow pads the odd row or column at the end.
  const pad = same ? Math.max(0, (count - 1) * stride + length - size) >> 1 : 0;
  return Array.from({ length: count }, (_, i) => i * stride - pad).map((start) =>
    ({ start, first: Math.max(0, start), end: Math.min(size, start + length) }));
}

/** The layers by their class in Keras. A vector is an image of one pixel. */
const LAYERS = {
  InputLayer: (image) => image,
  Dropout: (image) => image,
  Flatten: ({ data }) => ({ data, shape: [1, 1, data.length] }),
  Activation: ({ data, shape }, { activation }) => ({ data: ACTIVATIONS[activation](data), shape }),
  GlobalMaxPooling2D: (image) =>
    LAYERS.MaxPooling2D(image, { pool_size: image.shape, strides: [1, 1], padding: "valid" }),
  MaxPooling2D({ data, shape: [height, width, channels] }, { pool_size, strides, padding }) {
    const down = windows(height, pool_size[0], strides[0], padding);
    const across = windows(width, pool_size[1], strides[1], padding);
    const out = new Float32Array(down.length * across.length * channels).fill(-Infinity);
    for (let to = 0; to < out.length; to++) {
      const k = to % channels, cell = (to - k) / channels, x = across[cell % across.length];
      const y = down[Math.floor(cell / across.length)];
      for (let row = y.first; row < y.end; row++) {
        for (let column = x.first; column < x.end; column++) {
          out[to] = Math.max(out[to], data[(row * width + column) * channels + k]);
        }
      }
    }
    return { data: out, shape: [down.length, across.length, channels] };
  },
  Conv2D({ data, shape: [height, width] }, { strides, padding, activation, weights }) {
    const [{ data: kernel, shape: [rows, columns, channels, filters] }, bias] = weights;
    const down = windows(height, rows, strides[0], padding);
    const across = windows(width, columns, strides[1], padding);
    const shape = [down.length, across.length, filters], sums = new Float64Array(filters);
    const out = new Float32Array(shape[0] * shape[1] * filters);
    down.forEach((y, i) => across.forEach((x, j) => {
      sums.set(bias?.data ?? sums.fill(0));
      for (let row = y.first; row < y.end; row++) {
        const tap = (row - y.start) * columns + x.first - x.start;
        multiplyAdd(sums, data, (row * width + x.first) * channels, (x.end - x.first) * channels,
          kernel, tap * channels * filters);
      }
      out.set(sums, (i * across.length + j) * filters);
    }));
    return { data: ACTIVATIONS[activation](out), shape };
  },
  Dense: (image, { weights: [{ data, shape }, bias], ...layer }) =>
    LAYERS.Conv2D(image, { ...layer, weights: [{ data, shape: [1, 1, ...shape] }, bias] }),
  BatchNormalization({ data, shape }, { epsilon, scale, center, weights }) {
    const arrays = weights.map((array) => array.data);
    const gamma = scale && arrays.shift(), beta = center && arrays.shift();
    const [means, variances] = arrays, channels = means.length;
    const factor = means.map((_, k) => (gamma ? gamma[k] : 1) / Math.sqrt(variances[k] + epsilon));
    const offset = means.map((mean, k) => (beta ? beta[k] : 0) - mean * factor[k]);
    const normalize = (value, i) => value * factor[i % channels] + offset[i % channels];
    return { data: data.map(normalize), shape };
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

const CELLS = 8; // of an occlusion map, across and down

/** The image with a patch of its mean colour, a quarter of its side, around a cell of the map. */
function occlude({ data, shape }, cell) {
  const [side, , channels] = shape, step = side / CELLS, means = new Array(channels).fill(0);
  data.forEach((value, i) => { means[i % channels] += value / side ** 2; });
  const isNear = (at, index) => Math.abs(at + 0.5 - (index + 0.5) * step) <= step;
  const covered = data.map((value, i) => {
    const k = i % channels, x = ((i - k) / channels) % side, y = Math.floor(i / channels / side);
    return isNear(x, cell % CELLS) && isNear(y, Math.floor(cell / CELLS)) ? means[k] : value;
  });
  return { data: covered, shape };
}

/**
 * `predict` gives the probabilities of the classes for an image, float32 (H, W, C) in [0, 1].
 * `occlusion` gives the logarithm of class k's probability without augmentation, where a patch
 * covers a cell (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013).
 */
function loadNetwork({ config: { test_time_augmentation: tta, temperature }, ...model }) {
  const layers = decodeLayers(model);
  const compute = (tensor, layer) => LAYERS[layer.class_name](tensor, layer);
  const logits = (image) => layers.reduce(compute, image).data;
  const probabilities = (values) => softmax(values.map((value) => value / temperature));
  const { shift } = tta, flips = tta.horizontal_flip ? [false, true] : [false];
  const shifts = shift ? [[0, 0.5], [-shift, 0.25], [shift, 0.25]] : [[0, 1]];
  const views = shifts.flatMap(
    ([by, share]) => flips.map((flip) => ({ by, flip, weight: share / flips.length })));
  const predict = (image) => {
    const first = logits(image);
    if (Math.max(...probabilities(first)) >= tta.confidence_threshold) return probabilities(first);
    const total = first.map((value) => value * views[0].weight);
    for (const { by, flip, weight } of views.slice(1)) {
      logits(augment(image, by, flip)).forEach((value, k) => { total[k] += value * weight; });
    }
    return probabilities(total);
  };
  const occlusion = (image, k, cell) =>
    Math.log(Math.max(probabilities(logits(occlude(image, cell)))[k], Number.MIN_VALUE));
  return { predict, occlusion };
}
