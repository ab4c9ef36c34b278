// Everything that computes, in a worker, so that the page never stands still. Sliders play on validation digits; the test digits
// only report, when asked (`report`): for the set as it was learned.
import { Chain, turned } from './chain.js';
import { digitParts, enlarged, safetensors } from './digits.js';
import { smallLeNet } from './layers.js';
import { Learned, randomness, xavier } from './learned.js';
import { plainProducts, quickProducts } from './products.js';

const SIDE = 24, PIXELS = SIDE * SIDE, PART = 40;  // so many pictures at a time, to stay in the processor's cache
let chain, memory, parts, shipped, weights, trained, running = null;

/** From bytes to numbers: the kernels, the digits and the set that ships. */
async function start({ kernels, digits, sizes, scale, set, plain }) {
  const products = plain ? plainProducts() : await quickProducts(kernels).catch(() => plainProducts());
  chain = new Chain(smallLeNet(SIDE), products);
  memory = products.memory;
  parts = Object.fromEntries(Object.entries(digitParts(digits, sizes)).map(([name, { small, labels }]) => {
    const pictures = enlarged(small, scale);
    return [name, { pictures, labels, inParts: name === 'train' ? null : inParts(pictures, labels) }];
  }));
  const { images, labels, step_sizes: sizesLearned, ...rest } = safetensors(set);
  const initial = ['conv1', 'conv2', 'linear1', 'linear2'].flatMap(
    name => [rest[`initial.${name}.weight`], rest[`initial.${name}.bias`]]);
  shipped = { pictures: images.numbers, labels: labels.numbers, stepSizes: [...sizesLearned.numbers], initial };
  weights = initial.map(weight => memory.copy(weight.numbers));
  trained = weights.map(weight => memory.copy(weight));
  return { engine: products.name, pictures: shipped.pictures, stepSizes: shipped.stepSizes };
}

/** Pictures (n, 576) and labels as parts that the chain takes; `which` of them (all). */
function inParts(pictures, labels, which = [...labels.keys()]) {
  const found = [];
  for (let begin = 0; begin < which.length; begin += PART) {
    const some = which.slice(begin, begin + PART), n = some.length, columns = memory.take(PIXELS * n);
    some.forEach((k, j) => { for (let i = 0; i < PIXELS; i++) columns[i * n + j] = pictures[PIXELS * k + i]; });
    found.push({ pictures: columns, labels: some.map(k => labels[k]), n });
  }
  return found;
}

/** Train the network on ten pictures, and leave its weights in `trained`. */
function learn({ pictures, stepSizes }) {
  memory.scoped(() => chain.train(weights, turned(pictures, 10, memory), shipped.labels, 10, stepSizes)
    .forEach((weight, i) => trained[i].set(weight)));
}

function train({ pictures, stepSizes, report = false }) {
  const began = performance.now();
  learn({ pictures, stepSizes });
  const milliseconds = performance.now() - began;
  return { milliseconds, validation: chain.accuracy(trained, parts.validation.inParts),
           test: report ? chain.accuracy(trained, parts.test.inParts) : null };
}

/** How likely the network that was trained last finds each class for one picture. */
function read({ picture }) {
  return memory.scoped(() => {
    const logits = chain.logits(trained, memory.copy(picture), 1);
    return { shares: [...chain.crossEntropy(logits, [0], 1, 1).shares] };
  });
}

/** Another network, drawn from a seed; null for the one that the set was made for. */
function network({ seed }) {
  const { initial } = shipped;
  const fresh = seed === null ? initial.map(weight => weight.numbers) : xavier(initial.map(weight => weight.shape), seed);
  weights.forEach((weight, i) => weight.set(fresh[i]));
  return {};
}

/** Algorithm 1, from noise: tells how far it is through `tell`, and ends with the set that was best on validation digits. */
async function distil({ seed, outerSteps, batch = 128, validateEvery = 10, stepSize = 0.2 }, tell) {
  const mine = running = {}, random = randomness(seed), began = performance.now();
  const noise = Float32Array.from({ length: 10 * PIXELS }, random.normal);
  const learned = new Learned(noise, [stepSize, stepSize, stepSize], { outerSteps });
  let best = { validation: -1 }, told = 0;
  for (let k = 1; k <= outerSteps && running === mine; k++) {
    const { pictures, stepSizes } = learned.now;
    const loss = memory.scoped(() => {
      const which = Array.from({ length: batch }, () => random.below(parts.train.labels.length));
      const found = chain.metaGradient(weights, turned(pictures, 10, memory), shipped.labels, 10, stepSizes,
                                       inParts(parts.train.pictures, parts.train.labels, which));
      return learned.step(turned(found.pictures, PIXELS), found.stepSizes) ? found.loss : null;
    });
    if (loss === null) throw new Error(`The learning diverged at outer step ${k}: press Distil again, it begins with other noise.`);
    const looks = k % validateEvery === 0 || k === outerSteps;
    if (looks) {
      learn(learned.set);
      const validation = chain.accuracy(trained, parts.validation.inParts);
      if (validation > best.validation) best = { ...learned.set, validation };
      tell({ k, validation });
    }
    if (looks || performance.now() - told > 100) {
      tell({ k, loss, best: best.validation, seconds: (performance.now() - began) / 1000, set: learned.set });
      told = performance.now();
      await nextMessage();
    }
  }
  if (running === mine) running = null;
  const set = best.validation < 0 ? learned.set : best;
  return { ...set, seconds: (performance.now() - began) / 1000, ...train({ ...set, report: true }) };
}

/** Let a message in that waits, such as `stop`. (A timer would wait four milliseconds.) */
function nextMessage() {
  return new Promise(resolve => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { port1.close(); resolve(); };
    port2.postMessage(null);
  });
}

const COMMANDS = { start, train, read, network, distil, stop: () => { running = null; return {}; } };
self.onmessage = async ({ data: { id, command, given } }) => {
  try { self.postMessage({ id, answer: await COMMANDS[command](given, news => self.postMessage({ id, news })) }); }
  catch (error) { self.postMessage({ id, error: error.message }); }
};
