// --- Pictures as numbers --------------------------------------------------------------------

/**
 * Makes floats in [0, 1], [height, width, 3], of RGBA bytes. Sides become multiples of `unit`, by
 * repeating the last row and column; the programs are given the real size.
 */
function padded({pixels, width, height}, unit) {
  const W = Math.ceil(width / unit) * unit, H = Math.ceil(height / unit) * unit;
  const data = new Float32Array(W * H * 3);
  const columns = Array.from({length: W}, (_, x) => 4 * Math.min(x, width - 1));
  for (let y = 0, i = 0; y < H; y++) {
    const row = 4 * width * Math.min(y, height - 1);
    for (let x = 0; x < W; x++, i += 3) {
      const from = row + columns[x];
      data[i] = pixels[from] / 255;
      data[i + 1] = pixels[from + 1] / 255;
      data[i + 2] = pixels[from + 2] / 255;
    }
  }
  return {data, width: W, height: H};
}

/** Takes the first rows and columns of floats [., painted.width, 3]. */
function cropped(painted, width, height) {
  const row = 3 * width, values = new Float32Array(row * height);
  for (let y = 0; y < height; y++) {
    const from = 3 * painted.width * y;
    values.set(painted.data.subarray(from, from + row), row * y);
  }
  return values;
}

/** Moves from the last picture towards the new one; `kept` of the last one stays. */
function mixed(last, next, kept) {
  if (last?.length !== next.length) return next;
  for (let i = 0; i < next.length; i++) next[i] += kept * (last[i] - next[i]);
  return next;
}

/** Makes RGBA bytes of RGB floats; the array clips and rounds. */
function toBytes(values) {
  const pixels = new Uint8ClampedArray(values.length / 3 * 4);
  for (let i = 0, j = 0; i < values.length; i += 3, j += 4) {
    pixels[j] = values[i] * 255;
    pixels[j + 1] = values[i + 1] * 255;
    pixels[j + 2] = values[i + 2] * 255;
    pixels[j + 3] = 255;
  }
  return pixels;
}
