// A photo as input of the network, as predict prepares it: rotated as EXIF says, transparency over
// white, cropped or padded to a square, resized by Pillow's Lanczos filter, no colour management.

/** Start and weights of Lanczos filters from the middle `length` of `size` pixels to `side`. */
function lanczosFilters(size, length, side) {
  const scale = length / side, stretch = Math.max(scale, 1), support = 3 * stretch;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: side }, (_, position) => {
    const centre = (size - length) / 2 + (position + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(size, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - start }, (_, i) => {
      const x = (start + i + 0.5 - centre) / stretch;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = weights.reduce((a, b) => a + b);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/** Filters each row of RGBA pixels, (height, width, 4); the result is transposed. */
function resample(pixels, width, height, filters) {
  const out = new Uint8ClampedArray(filters.length * height * 4);
  filters.forEach(({ start, weights }, position) => {
    for (let at = 0; at < height * 4; at++) {
      let from = ((at >> 2) * width + start) * 4 + (at & 3), sum = 0;
      for (let i = 0; i < weights.length; i++, from += 4) sum += weights[i] * pixels[from];
      out[position * height * 4 + at] = sum; // rounded and clamped, as Pillow does after each pass
    }
  });
  return out;
}

/** The input of the network for RGBA pixels of a photo, also as RGBA `pixels`. */
function resizePhoto(photo, width, height, side, cropMode) {
  const pad = cropMode === "whole";
  const longest = Math.max(width, height), shortest = Math.min(width, height);
  const scale = (length) => (pad ? Math.max(1, Math.floor((length * side) / longest + 0.5)) : side);
  const columns = scale(width), rows = scale(height);
  const across = lanczosFilters(width, pad ? width : shortest, columns);
  const down = lanczosFilters(height, pad ? height : shortest, rows);
  const resized = resample(resample(photo, width, height, across), height, columns, down);
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  const left = Math.floor((side - columns) / 2), top = Math.floor((side - rows) / 2);
  for (let row = 0; row < rows; row++) {
    const line = resized.subarray(row * columns * 4, (row + 1) * columns * 4);
    pixels.set(line, ((top + row) * side + left) * 4);
  }
  const data = Float32Array.from(pixels.filter((_, i) => i % 4 < 3), (level) => level / 255);
  return { pixels, data, shape: [side, side, 3] };
}

/** The input of the network for an ImageBitmap, or for a `square` of it: {x, y, size} in pixels. */
function resizeBitmap(bitmap, side, cropMode, square) {
  const { x = 0, y = 0, size } = square ?? {};
  const shape = [size ?? bitmap.width, size ?? bitmap.height];
  const context = new OffscreenCanvas(...shape).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, ...shape);
  context.drawImage(bitmap, -x, -y);
  return resizePhoto(context.getImageData(0, 0, ...shape).data, ...shape, side, cropMode);
}
