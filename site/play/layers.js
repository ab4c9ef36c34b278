// Layers of a network. Pictures lie as (channels, height, width, pictures), so that a convolution is one matrix product, and
// flattening is nothing at all. `memory` is where results go; n is the number of pictures.

/** A layer with weights: a matrix, and a bias after it in the list of weights. Its product is with `columns` of what comes in. */
class Weighted {
  constructor(place, rows, out) { Object.assign(this, { place, rows, out }); }
}

/** A convolution with square kernels: each window of the pictures is a column, each kernel a row. */
export class Conv extends Weighted {
  constructor(place, [channels, height, width], out, kernel, padding) {
    super(place, channels * kernel * kernel, out);
    const down = height + 2 * padding - kernel + 1, right = width + 2 * padding - kernel + 1;
    Object.assign(this, { channels, height, width, kernel, padding, down, right });
  }

  places(n) { return this.down * this.right * n; }

  /** For each row of columns that does not lie in the padding: f(place in the columns, place in the pictures, how many numbers). */
  eachRow(n, f) {
    const { channels, height, width, kernel, padding, down, right } = this;
    for (let c = 0, at = 0; c < channels; c++) for (let a = 0; a < kernel; a++) for (let b = 0; b < kernel; b++) {
      const first = Math.max(0, padding - b), last = Math.min(right, width + padding - b);
      for (let y = 0; y < down; y++, at += right * n) {
        const row = y + a - padding;
        if (row < 0 || row >= height) continue;
        f(at + first * n, ((c * height + row) * width + first + b - padding) * n, (last - first) * n);
      }
    }
  }

  /** Windows as columns: (c, h, w, n) to (c * k * k, places * n). Linear, so it also does for changes of pictures. */
  columns(memory, pictures, n) {
    const columns = memory.zeros(this.rows * this.places(n));
    this.eachRow(n, (to, from, many) => columns.set(pictures.subarray(from, from + many), to));
    return columns;
  }

  /** The other way, for gradients: what a pixel gave to several windows comes back to it as a sum. */
  pictures(memory, columns, n) {
    const pictures = memory.zeros(this.channels * this.height * this.width * n);
    this.eachRow(n, (from, to, many) => { for (let i = 0; i < many; i++) pictures[to + i] += columns[from + i]; });
    return pictures;
  }
}

export class Linear extends Weighted {
  places(n) { return n; }
  columns(memory, features) { return features; }
  pictures(memory, features) { return features; }
}

// A layer without weights says three things. `value`: what comes out, and what to remember. `push`: how what comes out changes
// when what goes in changes. `pull`: the gradient of what goes in, given that of what comes out.

export class ReLU {
  value(memory, hidden) {
    const out = memory.take(hidden.length), on = memory.take(hidden.length);
    for (let i = 0; i < hidden.length; i++) { const is = hidden[i] > 0 ? 1 : 0; on[i] = is; out[i] = is * hidden[i]; }
    return [out, on];
  }
  push(memory, change, on) {
    const out = memory.take(change.length);
    for (let i = 0; i < change.length; i++) out[i] = change[i] * on[i];
    return out;
  }
  pull(memory, gradient, on) { return this.push(memory, gradient, on); }
}

/** The largest of each 2x2 pixels; of equal ones the first, as in PyTorch (flat black ground is full of them). */
export class MaxPool {
  constructor([channels, height, width]) { Object.assign(this, { channels, height, width }); }

  value(memory, pictures, n) {
    const { channels, height, width } = this, down = height >> 1, right = width >> 1;
    const out = memory.take(channels * down * right * n), winner = memory.integers(out.length);
    let at = 0;
    for (let c = 0; c < channels; c++) for (let y = 0; y < down; y++) for (let x = 0; x < right; x++) {
      const corner = ((c * height + 2 * y) * width + 2 * x) * n, below = corner + width * n;
      for (let j = 0; j < n; j++, at++) {
        let place = corner + j, top = pictures[place];
        if (pictures[corner + n + j] > top) top = pictures[place = corner + n + j];
        if (pictures[below + j] > top) top = pictures[place = below + j];
        if (pictures[below + n + j] > top) top = pictures[place = below + n + j];
        out[at] = top;
        winner[at] = place;
      }
    }
    return [out, winner];
  }
  push(memory, change, winner) {
    const out = memory.take(winner.length);
    for (let i = 0; i < out.length; i++) out[i] = change[winner[i]];
    return out;
  }
  pull(memory, gradient, winner, n) {
    const out = memory.zeros(this.channels * this.height * this.width * n);
    for (let i = 0; i < winner.length; i++) out[winner[i]] += gradient[i];
    return out;
  }
}

/** ddlite's SmallLeNet for grey pictures of so many pixels a side. */
export function smallLeNet(side, classes = 10) {
  const half = side >> 1, quarter = side >> 2;
  return [
    new Conv(0, [1, side, side], 6, 5, 2), new MaxPool([6, side, side]), new ReLU(),
    new Conv(2, [6, half, half], 16, 5, 2), new MaxPool([16, half, half]), new ReLU(),
    new Linear(4, 16 * quarter * quarter, 84), new ReLU(), new Linear(6, 84, classes),
  ];
}
