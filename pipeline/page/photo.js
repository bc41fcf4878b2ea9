// A photo as the networks see it, as pipeline/datasets/image_loading.py has it: its centre square, or the whole with
// white beside it, turned as EXIF says, transparency over white, scaled by Pillow's Lanczos filter,
// colour profiles not applied.

const STRIP = 256; // rows decoded to memory at a time: a photo's pixels take 4 bytes each

/**
 * For each of `side` output pixels where its filter starts among `all` pixels, and its weights.
 * The square has `size` of them, in the middle; what lies beside it counts at its edges.
 */
function lanczos(all, size, side) {
  const scale = size / side, wide = Math.max(scale, 1), reach = 3 * wide;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: side }, (_, place) => {
    const centre = (all - size) / 2 + (place + 0.5) * scale;
    const start = Math.max(0, Math.floor(centre - reach + 0.5));
    const end = Math.min(all, Math.floor(centre + reach + 0.5));
    const weights = Array.from({ length: end - start }, (_, i) => {
      const x = (start + i + 0.5 - centre) / wide;
      return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
    });
    const sum = weights.reduce((a, b) => a + b);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/** The filters that bring a picture of `width` by `height` into a square of `side`, and where in it. */
function framed(width, height, side, framing) {
  if (framing === "centre") {
    const size = Math.min(width, height);
    return { across: lanczos(width, size, side), down: lanczos(height, size, side), left: 0, top: 0 };
  }
  const longest = Math.max(width, height);
  const scaled = (length) => Math.max(1, Math.floor((length * side) / longest + 0.5));
  const [wide, high] = [scaled(width), scaled(height)];
  return {
    across: lanczos(width, width, wide), down: lanczos(height, height, high),
    left: Math.floor((side - wide) / 2), top: Math.floor((side - high) / 2),
  };
}

/** Each of `lines` rows or columns of RGB by the `filters`; `at(i, line)` is where red of pixel i lies. */
function reduced(from, filters, lines, at, to, put) {
  for (let line = 0; line < lines; line++) {
    filters.forEach(({ start, weights }, place) => {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += weights[i] * from[at(start + i, line) + channel];
        to[put(place, line) + channel] = sum; // clamped and rounded, as in Pillow, after each way
      }
    });
  }
}

/** How large the picture in `file` is, as its head says, before its pixels are decoded. */
async function sizeOf(file) {
  const image = new Image(), address = URL.createObjectURL(file);
  try {
    image.src = address;
    await new Promise((done, failed) => Object.assign(image, { onload: done, onerror: failed }));
    return [image.naturalWidth, image.naturalHeight];
  } catch {
    return [0, 0];
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** A file as pixels float32 (side, side, 3) in [0, 1]; an Error with a sentence if it is none. */
async function photoPixels(file, side, framing, mostPixels) {
  const name = file.name || "The picture";
  if (file.size === 0) throw new Error(`${name} is empty; a download may have failed: get it again.`);
  const [width, height] = await sizeOf(file);
  if (width * height > mostPixels) {
    const millions = Math.floor(mostPixels / 1e6);
    throw new Error(`${name} has more than ${millions} million pixels; scale it down.`);
  }
  const options = { colorSpaceConversion: "none" };
  const bitmap = width && height && (await createImageBitmap(file, options).catch(() => null));
  if (!bitmap) throw new Error(`${name} is no image that this browser can read; save it as PNG.`);
  const { across, down, left, top } = framed(width, height, side, framing), wide = across.length;
  const canvas = Object.assign(document.createElement("canvas"), { width, height: STRIP });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const narrow = new Uint8ClampedArray(height * wide * 3);
  for (let row = 0; row < height; row += STRIP) {
    const rows = Math.min(STRIP, height - row);
    context.fillStyle = "white";
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -row);
    const { data } = context.getImageData(0, 0, width, rows);
    reduced(data, across, rows, (x, y) => (y * width + x) * 4, narrow,
      (x, y) => ((row + y) * wide + x) * 3);
  }
  bitmap.close();
  const pixels = new Uint8ClampedArray(side * side * 3).fill(255);
  reduced(narrow, down, wide, (y, x) => (y * wide + x) * 3, pixels,
    (y, x) => ((top + y) * side + left + x) * 3);
  return { data: Float32Array.from(pixels, (level) => level / 255), shape: [side, side, 3] };
}
