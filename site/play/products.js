// Matrix products, in plain JavaScript and with WebAssembly's SIMD, and the memory on which they work.

/** Places for numbers on one buffer: `take(n)` gives a Float32Array; `scoped(f)` frees what f took when it ends. */
export class Memory {
  constructor(buffer) { this.buffer = buffer; this.used = 0; }

  take(n) {
    const at = this.used;
    this.used = (at + 4 * n + 15) & ~15;
    if (this.used > this.buffer.byteLength) throw new RangeError('The memory of the engine is full.');
    return new Float32Array(this.buffer, at, n);
  }
  integers(n) { const at = this.take(n).byteOffset; return new Int32Array(this.buffer, at, n); }
  zeros(n) { return this.take(n).fill(0); }
  copy(numbers) { const place = this.take(numbers.length); place.set(numbers); return place; }

  scoped(f) {
    const before = this.used;
    try { return f(); } finally { this.used = before; }
  }
}

/** C (m, n) = A (m, k) times B (k, n), or C + that, in columns `from` to n. A's element (i, p) is A[i * down + p * right]. */
function times(A, down, right, B, C, m, k, n, add, from = 0) {
  for (let i = 0; i < m; i++) {
    const row = i * n;
    if (!add) C.fill(0, row + from, row + n);
    let p = 0;
    for (; p + 3 < k; p += 4) {  // four rows of B at a time: C is read and written less often
      const a = i * down + p * right, b = p * n;
      const a0 = A[a], a1 = A[a + right], a2 = A[a + 2 * right], a3 = A[a + 3 * right];
      for (let j = from; j < n; j++) {
        C[row + j] += a0 * B[b + j] + a1 * B[b + n + j] + a2 * B[b + 2 * n + j] + a3 * B[b + 3 * n + j];
      }
    }
    for (; p < k; p++) {
      const a = A[i * down + p * right], b = p * n;
      for (let j = from; j < n; j++) C[row + j] += a * B[b + j];
    }
  }
}

/** C (m, n) = A (m, k) times B (n, k) turned, or C + that, over the places `from` to k. */
function timesTurned(A, B, C, m, k, n, add, from = 0) {
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let a = i * k + from, b = j * k + from, end = i * k + k; a < end; a++, b++) sum += A[a] * B[b];
    C[i * n + j] = add ? C[i * n + j] + sum : sum;
  }
}

/** The three products that derivatives need. With `add`, they are added to C. */
const products = (name, memory, times, timesTurned) => ({
  name, memory,
  times: (A, B, C, m, k, n, add) => times(A, k, 1, B, C, m, k, n, add),        // A (m, k), B (k, n)
  turnedTimes: (A, B, C, m, k, n, add) => times(A, 1, m, B, C, m, k, n, add),  // A (k, m), B (k, n)
  timesTurned,                                                                 // A (m, k), B (n, k)
});

const BYTES = 64 << 20;  // fixed: if it grew, all places on it would be lost

export function plainProducts() {
  return products('plain JavaScript', new Memory(new ArrayBuffer(BYTES)), times, timesTurned);
}

/** The same with products.wat compiled; rejects where a browser has no SIMD. */
export async function quickProducts(wasm) {
  const memory = new WebAssembly.Memory({ initial: BYTES >> 16, maximum: BYTES >> 16 }), at = numbers => numbers.byteOffset;
  const { exports: quick } = (await WebAssembly.instantiate(wasm, { engine: { memory } })).instance;
  return products('WebAssembly SIMD', new Memory(memory.buffer),
    (A, down, right, B, C, m, k, n, add) => {
      const whole = n & ~7;
      if (whole) quick.times(at(A), 4 * down, 4 * right, at(B), at(C), m, k, n, whole, add ? 1 : 0);
      if (whole < n) times(A, down, right, B, C, m, k, n, add, whole);
    },
    (A, B, C, m, k, n, add) => {
      const whole = k & ~3;
      quick.timesTurned(at(A), at(B), at(C), m, k, n, whole, add ? 1 : 0);
      if (whole < k) timesTurned(A, B, C, m, k, n, true, whole);
    });
}
