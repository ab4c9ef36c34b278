// The files of the page: the digits, as they were scanned, and the distilled set.

/** A safetensors file, decoded: {name: {shape, numbers}}. */
export function safetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true)), tensors = {};
  const { __metadata__, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(header)) {
    const bytes = buffer.slice(8 + length + from, 8 + length + to);
    tensors[name] = { shape, numbers: dtype === 'I64' ? Array.from(new BigInt64Array(bytes), Number) : new Float32Array(bytes) };
  }
  return tensors;
}

// From 8 pixels to 24 as PyTorch's bilinear interpolation does it: of each pixel two old ones, and how many thirds of each.
const THIRDS = Array.from({ length: 24 }, (_, i) => {
  const place = (i - 1) / 3, low = Math.floor(place), share = Math.round(3 * (place - low));
  return [[Math.max(low, 0), 3 - share], [Math.min(low + 1, 7), share]];
});

/** Digits of 8x8 grey levels from 0 to 16, n * 64 bytes, as normalised pictures of 24x24 pixels, (n, 576). */
export function enlarged(small, { mean, std }) {
  const n = small.length / 64, large = new Float32Array(n * 576);
  for (let k = 0, at = 0; k < n; k++) for (const rows of THIRDS) for (const columns of THIRDS) {
    let sum = 0;
    for (const [row, thirds] of rows) for (const [column, more] of columns) sum += thirds * more * small[64 * k + 8 * row + column];
    large[at++] = (sum / 144 - mean) / std;
  }
  return large;
}

/** The parts of the data: {train, validation, test}, each {small (n, 64) grey levels, labels, n}, from one file. */
export function digitParts(buffer, sizes) {
  const parts = {};
  let at = 0;
  for (const [name, n] of Object.entries(sizes)) {
    parts[name] = { small: new Uint8Array(buffer, at, 64 * n), labels: new Uint8Array(buffer, at + 64 * n, n), n };
    at += 65 * n;
  }
  return parts;
}
