// What one sees and touches. Numbers come from the engine, in a worker.
import { drawingBoard } from './board.js';
import { digitParts, enlarged } from './digits.js';
import { onStrokes, showPicture } from './strokes.js';
import { ASSETS, WORKER } from './assets.js';

const $ = id => document.getElementById(id), say = words => { $('words').textContent = words; };
const percent = number => `${number.toFixed(1)} %`, plain = new URLSearchParams(location.search).has('plain');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

// --- asking the engine ---------------------------------------------------------------------------------------------------
const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' }))), asked = new Map();
worker.onmessage = ({ data: { id, news, answer, error } }) => {
  const { resolve, reject, tell } = asked.get(id);
  if (news) return tell(news);
  asked.delete(id);
  if (error) reject(new Error(error)); else resolve(answer);
};
worker.onerror = ({ message }) => say(`The engine stopped: ${message} Reload the page to begin again.`);
let questions = 0;
function ask(command, given = {}, tell = () => {}) {
  return new Promise((resolve, reject) => {
    asked.set(++questions, { resolve, reject, tell });
    worker.postMessage({ id: questions, command, given });
  });
}

const asLearned = await ask('start', { ...ASSETS, plain });
const { mean, std } = ASSETS.scale, grey = value => value * std + mean;
let { pictures, stepSizes } = asLearned, distilling = false;

// --- training on what is there, after each touch ------------------------------------------------------------------------
let busy = false, again = false, settled = null;
/** While the engine works, only the newest wish is kept. */
async function train() {
  again = true;
  if (busy) return;
  busy = true;
  while (again) {
    again = false;
    const { validation, milliseconds } = await ask('train', { pictures, stepSizes });
    showAccuracy(validation);
    $('timing').textContent = `three gradient steps: ${milliseconds.toFixed(0)} ms, ${asLearned.engine}`;
    await readDrawing();
  }
  busy = false;
}
function showAccuracy(validation) {
  $('accuracy').textContent = percent(validation);
  $('bar').style.width = `${validation}%`;
}
function touched(what) {
  $('reported').textContent = '';
  clearTimeout(settled);  // words for a screen reader once one has stopped
  settled = setTimeout(() => say(`${what} Now ${$('accuracy').textContent} of the validation digits are read correctly.`), 800);
  return train();
}
async function report(words) {
  const { validation, test } = await ask('train', { pictures, stepSizes, report: true });
  showAccuracy(validation);
  $('reported').textContent = `${words}: ${percent(test)} of 400 test digits.`;
  await readDrawing();
  return test;
}

// --- the ten pictures ------------------------------------------------------------------------------------------------------
$('still').remove();
const KEYS = 'Arrow keys move the brush, space puts it down or lifts it.';
const canvases = Array.from({ length: 10 }, (_, digit) => {
  const [figure, box, canvas, caption] = ['figure', 'div', 'canvas', 'figcaption'].map(name => document.createElement(name));
  canvas.width = canvas.height = 24;
  canvas.setAttribute('aria-label', `Learned picture for the digit ${digit}. ${KEYS}`);
  caption.textContent = digit;
  box.append(canvas);
  figure.append(box, caption);
  $('pictures').append(figure);
  onStrokes(canvas, 24, (from, to) => paint(digit, from, to));
  return canvas;
});
function paint(digit, from, to) {
  if (distilling) return;
  const value = (($('black').checked ? 0 : 1) - mean) / std;
  const many = Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])) + 1;
  for (let k = 0; k <= many; k++) {
    const [x, y] = from.map((a, i) => Math.floor(a + (to[i] - a) * k / many));
    for (const [dx, dy] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      if (x + dx >= 0 && x + dx < 24 && y + dy >= 0 && y + dy < 24) pictures[576 * digit + 24 * (y + dy) + x + dx] = value;
    }
  }
  showPictures();
  touched(`Painted on the picture for ${digit}.`);
}
function showPictures() {  // on one scale, so that they compare
  const levels = pictures.map(grey), low = Math.min(0, ...levels), high = Math.max(1, ...levels);
  const scaled = levels.map(level => (level - low) / (high - low));
  canvases.forEach((canvas, k) => showPicture(canvas, scaled.subarray(576 * k, 576 * (k + 1))));
}

// --- step sizes --------------------------------------------------------------------------------------------------------------
const sliders = stepSizes.map((_, t) => {
  const [label, input, output] = ['label', 'input', 'output'].map(name => document.createElement(name));
  Object.assign(input, { type: 'range', min: -3, max: 1, step: 0.01 });
  label.append(`step ${t + 1}`, input, output);
  $('sliders').append(label);
  const show = () => {
    output.textContent = stepSizes[t].toPrecision(2);
    input.setAttribute('aria-valuetext', output.textContent);
  };
  input.addEventListener('input', () => {
    stepSizes[t] = 10 ** input.value;
    show();
    touched(`Step size ${t + 1} is ${output.textContent}.`);
  });
  return () => { input.value = Math.log10(stepSizes[t]); show(); };
});

/** Put a set there. */
function put(set) {
  pictures = Float32Array.from(set.pictures);
  stepSizes = [...set.stepSizes];
  sliders.forEach(show => show());
  showPictures();
}
$('restore').addEventListener('click', async () => {
  clearTimeout(settled);
  await ask('network', { seed: null });
  put(asLearned);
  say(`As learned: the network reads ${percent(await report('As learned'))} of the test digits correctly.`);
});
$('another').addEventListener('click', async () => {
  await ask('network', { seed: Math.floor(2 ** 31 * Math.random()) });
  touched('Another network, with other first weights: these pictures were not made for it.');
});

// --- a digit to read -------------------------------------------------------------------------------------------------------
const bars = Array.from({ length: 10 }, (_, digit) => {
  const row = document.createElement('div');
  row.innerHTML = `<span>${digit}</span><i></i>`;
  $('shares').append(row);
  return row.lastChild;
});
let drawing = null;
async function readDrawing() {
  const shares = drawing ? (await ask('read', { picture: enlarged(drawing, ASSETS.scale) })).shares : Array(10).fill(0);
  bars.forEach((bar, digit) => { bar.style.width = `${100 * shares[digit]}%`; });
  const best = shares.indexOf(Math.max(...shares));
  $('answer').textContent = drawing ? best : '?';
  $('shares').setAttribute('aria-label',
    drawing ? `Read as ${best}, with a share of ${percent(100 * shares[best])}` : 'Nothing is drawn yet');
}
function look(small) {
  drawing = small;
  showPicture($('seen'), (small ? enlarged(small, ASSETS.scale) : new Float32Array(576).fill(-mean / std)).map(grey));
  return readDrawing();
}
const board = drawingBoard($('board'), small => { if (!busy) look(small); else { drawing = small; } });
$('board').setAttribute('aria-label', `Draw a digit here. ${KEYS}`);
$('clear').addEventListener('click', () => { board.clear(); look(null); });
const { validation } = digitParts(ASSETS.digits, ASSETS.sizes);
/** Put a digit of the data on the board; its label. */
async function sample() {
  const k = Math.floor(validation.n * Math.random()), small = validation.small.slice(64 * k, 64 * (k + 1));
  board.show(small);
  await look(small);
  return validation.labels[k];
}
$('sample').addEventListener('click', async () => {
  say(`A ${await sample()} from the validation digits is read as ${$('answer').textContent}.`);
});

// --- distil ------------------------------------------------------------------------------------------------------------------
$('distil').addEventListener('click', async () => {
  if (distilling) return ask('stop');
  const outerSteps = Math.min(5000, Math.max(10, Math.round($('outer').value) || 450)), points = [];
  distilling = true;
  clearTimeout(settled);
  for (const id of ['restore', 'another', 'outer', 'sliders']) $(id).disabled = true;
  $('distil').textContent = 'Stop';
  $('last').textContent = `${outerSteps} outer steps`;
  say('Learning from noise.');
  const seed = +(new URLSearchParams(location.search).get('seed') ?? Math.floor(2 ** 31 * Math.random()));
  try {
    const found = await ask('distil', { seed, outerSteps }, ({ k, validation, loss, seconds, best, set }) => {
      if (validation !== undefined) {
        points.push(`${100 * k / outerSteps},${100 - validation}`);
        $('curve').setAttribute('points', points.join(' '));
        showAccuracy(validation);
        return;
      }
      if (!calm.matches || k % 50 === 0) put(set);
      const sofar = best < 0 ? '' : `, best ${percent(best)}`;
      $('reported').textContent = `Outer step ${k} of ${outerSteps}, ${seconds.toFixed(0)} s, loss ${loss.toFixed(2)}${sofar}`;
    });
    put(found);
    showAccuracy(found.validation);
    $('reported').textContent = `Learned here in ${found.seconds.toFixed(0)} s: ${percent(found.test)} of 400 test digits.`;
    const [chosen, reported] = [percent(found.validation), percent(found.test)];
    $('chart').setAttribute('aria-label', `Accuracy on validation digits while learning; at best ${chosen}`);
    say(`Learned in ${found.seconds.toFixed(0)} seconds: ${chosen} of the validation digits, ${reported} of the test digits.`);
    await readDrawing();
  } catch (error) {
    say(error.message);
  }
  for (const id of ['restore', 'another', 'outer', 'sliders']) $(id).disabled = false;
  $('distil').textContent = 'Distil';
  distilling = false;
});

put(asLearned);
await report('As learned');
await sample();
document.body.dataset.ready = 'yes';
