// How a distilled set is learned: ddlite/learned.py, for ten pictures and their step sizes.

/** Random numbers from a seed (mulberry32): `uniform()`, `normal()`, `below(n)`. */
export function randomness(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6D2B79F5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal, below: n => Math.floor(n * uniform()) };
}

/** First weights as the paper draws them: Xavier normal, biases 0. `shapes` are those of weights and biases in turn. */
export function xavier(shapes, seed) {
  const { normal } = randomness(seed);
  return shapes.map(shape => {
    const weights = new Float32Array(shape.reduce((a, b) => a * b, 1));
    if (shape.length === 1) return weights;
    const [out, into, ...kernel] = shape, field = kernel.reduce((a, b) => a * b, 1);
    const scale = Math.sqrt(2 / (field * (into + out)));
    return weights.map(() => scale * normal());
  });
}

const softplus = x => (x > 20 ? x : Math.log1p(Math.exp(x)));
const inverseSoftplus = y => y + Math.log(-Math.expm1(-y));

/** Adam for pictures and step sizes, with decay, clipping and an average over the last iterates (see ddlite.distill). */
export class Learned {
  constructor(pictures, stepSizes, { outerSteps, rate = 0.1, stepSizeRate = 0.4, decay = 0.05, clip = 0.5, average = 0.998 }) {
    Object.assign(this, { outerSteps, decay, clip, average, steps: 0, rates: [rate, rate * stepSizeRate] });
    this.free = [Float64Array.from(pictures), Float64Array.from(stepSizes, inverseSoftplus)];  // softplus keeps sizes positive
    this.mean = this.free.map(numbers => numbers.slice());
    this.first = this.free.map(numbers => numbers.slice().fill(0));  // Adam's two moments
    this.second = this.free.map(numbers => numbers.slice().fill(0));
  }

  /** What the next outer step is computed with. */
  get now() { return { pictures: Float32Array.from(this.free[0]), stepSizes: Array.from(this.free[1], softplus) }; }

  /** The set of this moment: the average over the last iterates, which jumps less than they do. */
  get set() { return { pictures: Float32Array.from(this.mean[0]), stepSizes: Array.from(this.mean[1], softplus) }; }

  /** One step along a meta-gradient; false, and no step, if it is not finite. */
  step(pictures, stepSizes) {
    const gradients = [pictures, stepSizes.map((gradient, t) => gradient / (1 + Math.exp(-this.free[1][t])))];
    const norm = Math.sqrt(gradients.flatMap(part => part.reduce((sum, g) => sum + g * g, 0)).reduce((a, b) => a + b));
    if (!Number.isFinite(norm)) return false;
    const fraction = (1 + Math.cos(Math.PI * this.steps++ / this.outerSteps)) / 2;
    const shrink = Math.min(1, this.clip / (norm + 1e-6)), past = Math.min(this.average, this.steps / (this.steps + 10));
    const early = 1 - 0.5 ** this.steps, late = 1 - 0.999 ** this.steps;
    this.free.forEach((free, part) => {
      const rate = fraction * this.rates[part], keep = part === 0 ? 1 - rate * this.decay : 1;
      const first = this.first[part], second = this.second[part], mean = this.mean[part];
      for (let i = 0; i < free.length; i++) {
        const gradient = gradients[part][i] * shrink;
        first[i] += 0.5 * (gradient - first[i]);
        second[i] += 0.001 * (gradient * gradient - second[i]);
        free[i] = free[i] * keep - rate * (first[i] / early) / (Math.sqrt(second[i] / late) + 1e-8);
        mean[i] += (1 - past) * (free[i] - mean[i]);
      }
    });
    return true;
  }
}
