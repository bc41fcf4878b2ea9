// A photo as model input, as predict prepares it: rotated as EXIF says, transparency over white,
// cropped or padded to a square, resized by Pillow's Lanczos filter, without colour management.

const STRIP_ROWS = 256; // decoded at a time: a photo's pixels take 4 bytes each

/** Start and weights of Lanczos filters from the middle `length` of `size` pixels to `side`. */
function lanczosFilters(size, length, side) {
  const scale = length / side, stretch = Math.max(scale, 1), support = 3 * stretch;
  const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  return Array.from({ length: side }, (_, place) => {
    const centre = (size - length) / 2 + (place + 0.5) * scale;
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

/**
 * Filters `lines` lines of RGB pixels. A source is its data, the step from a pixel to the next of
 * its line, and that to the next line; a target also its first index.
 */
function applyFilters(filters, lines, [source, sourceStep, sourceLine], [target, targetStep, targetLine, first]) {
  for (let line = 0; line < lines; line++) {
    for (let place = 0; place < filters.length; place++) {
      const { start, weights } = filters[place];
      let at = line * sourceLine + start * sourceStep, red = 0, green = 0, blue = 0;
      for (let i = 0; i < weights.length; i++, at += sourceStep) {
        red += weights[i] * source[at];
        green += weights[i] * source[at + 1];
        blue += weights[i] * source[at + 2];
      }
      const to = first + line * targetLine + place * targetStep;
      target[to] = red; // rounded and clamped, as in Pillow after each direction
      target[to + 1] = green;
      target[to + 2] = blue;
    }
  }
}

/** The model input of a photo, also as RGBA `pixels`; `readRows(row, count)` gives its pixels as RGBA bytes. */
function resizePhoto(readRows, width, height, side, cropMode) {
  const pad = cropMode === "whole", longest = Math.max(width, height), shortest = Math.min(width, height);
  const scaled = (length) => (pad ? Math.max(1, Math.floor((length * side) / longest + 0.5)) : side);
  const columns = scaled(width), rows = scaled(height);
  const across = lanczosFilters(width, pad ? width : shortest, columns);
  const down = lanczosFilters(height, pad ? height : shortest, rows);
  const narrow = new Uint8ClampedArray(height * columns * 3);
  for (let row = 0; row < height; row += STRIP_ROWS) {
    const count = Math.min(STRIP_ROWS, height - row);
    const target = [narrow, 3, 3 * columns, 3 * row * columns];
    applyFilters(across, count, [readRows(row, count), 4, 4 * width], target);
  }
  const pixels = new Uint8ClampedArray(side * side * 4).fill(255);
  const first = 4 * (Math.floor((side - rows) / 2) * side + Math.floor((side - columns) / 2));
  applyFilters(down, columns, [narrow, 3 * columns, 3], [pixels, 4 * side, 4, first]);
  const data = Float32Array.from(pixels.filter((_, i) => i % 4 < 3), (level) => level / 255);
  return { pixels, data, shape: [side, side, 3] };
}

/** The model input of an ImageBitmap. */
function resizeBitmap(bitmap, side, cropMode) {
  const { width, height } = bitmap, canvas = new OffscreenCanvas(width, Math.min(height, STRIP_ROWS));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return resizePhoto((row, count) => {
    context.fillStyle = "white";
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, 0, -row);
    return context.getImageData(0, 0, width, count).data;
  }, width, height, side, cropMode);
}

/** The ImageBitmap of a file; an Error for the reader when there is none. */
async function decodePhoto(file, maxPixels) {
  const name = file.name || "The picture", image = new Image();
  if (!file.size) throw new Error(`${name} is empty; get it again.`);
  image.src = URL.createObjectURL(file);
  try { // The size is known before any pixel is decoded.
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
    if (image.naturalWidth * image.naturalHeight <= (maxPixels ?? Infinity)) {
      // A file of vectors has no colours to convert; createImageBitmap takes its image alone.
      const bitmap = createImageBitmap(file, { colorSpaceConversion: "none" });
      return await bitmap.catch(() => createImageBitmap(image));
    }
  } catch {
    throw new Error(`${name} is no image that this browser can read; save it as PNG.`);
  } finally {
    URL.revokeObjectURL(image.src);
  }
  throw new Error(`${name} has more than ${Math.floor(maxPixels / 1e6)} million pixels; scale it down.`);
}
