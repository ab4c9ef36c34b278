// The second page: twenty support pictures, taken away one at a time. It computes so little that it needs no worker.
import { digitParts } from './digits.js';
import { answers, best, kernelOf, rightAnswers, sayings, supportGradient } from './kernel.js';
import { Learned, randomness } from './learned.js';
import { showPicture } from './strokes.js';
import { ASSETS } from './assets.js';

const $ = id => document.getElementById(id), say = words => { $('words').textContent = words; };
const percent = number => `${number.toFixed(1)} %`, { mean, std } = ASSETS.scale;
const LABELS = Array.from({ length: 20 }, (_, i) => i >> 1), OUTER_STEPS = 200, BATCH = 128;
const random = randomness(+(new URLSearchParams(location.search).get('seed') ?? Math.floor(2 ** 31 * Math.random())));
const calm = matchMedia('(prefers-reduced-motion: reduce)');

const { train, validation, test } = Object.fromEntries(Object.entries(digitParts(ASSETS.digits, ASSETS.sizes)).map(
  ([name, { small, labels }]) => [name, { pictures: Float64Array.from(small, level => (level / 16 - mean) / std), labels }]));
const some = (pictures, which) => {
  const found = new Float64Array(64 * which.length);
  which.forEach((k, i) => found.set(pictures.subarray(64 * k, 64 * (k + 1)), 64 * i));
  return found;
};

/** Real training digits, two of each class. */
function realSupport() {
  return some(train.pictures, LABELS.map(label => {
    for (;;) { const k = random.below(train.labels.length); if (train.labels[k] === label) return k; }
  }));
}

let support = realSupport(), learned = false, present = new Set(LABELS.keys()), digit = random.below(validation.labels.length);

/** Percent read correctly of some digits, with some of the support pictures. */
function accuracy({ pictures, labels }, which) {
  if (!which.length) return 0;
  const kept = some(support, which), { says } = sayings(kept, which.map(i => LABELS[i]));
  return rightAnswers(answers(kernelOf(pictures, kept), says), labels);
}

$('still').remove();
const pictures = LABELS.map((label, i) => {
  const [button, canvas, words] = ['button', 'canvas', 'span'].map(name => document.createElement(name));
  canvas.width = canvas.height = 8;
  button.type = 'button';
  button.append(canvas, words);
  button.addEventListener('click', () => {
    if (!present.delete(i)) present.add(i);
    show();
    say(`${present.has(i) ? 'Put back' : 'Took away'} picture ${i % 2 + 1} for ${label}. ${result()}`);
  });
  $('support').append(button);
  return { button, canvas, words };
});

const result = () => `${$('accuracy').textContent} of the validation digits are read correctly.`;
const changed = points => (Math.abs(points) < 0.05 ? '' : points < 0 ? '−' : '+') + Math.abs(points).toFixed(1);

/** Draw everything; `quick` leaves out what each picture is worth, and why a digit is read as it is. */
function show(quick = false) {
  const which = [...present].sort((a, b) => a - b), now = accuracy(validation, which);
  const low = support.reduce((a, b) => Math.min(a, b)), high = support.reduce((a, b) => Math.max(a, b));
  const level = value => (value - low) / (high - low);  // on one scale, so that they compare
  pictures.forEach(({ canvas }, i) => showPicture(canvas, Array.from(support.subarray(64 * i, 64 * (i + 1)), level)));
  $('accuracy').textContent = percent(now);
  $('bar').style.width = `${now}%`;
  if (quick) return;
  pictures.forEach(({ button, words }, i) => {
    const here = present.has(i), lost = here ? now - accuracy(validation, which.filter(k => k !== i)) : 0;
    button.setAttribute('aria-pressed', !here);
    button.dataset.lost = lost;
    const effect = here ? `: ${changed(-lost)} points` : '';
    button.setAttribute('aria-label', `Take away picture ${i % 2 + 1} for ${LABELS[i]}${effect}`);
    words.textContent = here ? changed(-lost) : 'away';
  });
  $('reported').textContent = present.size === LABELS.length
    ? `${learned ? 'Learned here' : 'Real digits'}: ${percent(accuracy(test, which))} of 400 test digits.`
    : `${present.size} of ${LABELS.length} pictures are left.`;
  explain(which);
}

/** Show a digit, the answer, and what each support picture adds to it. */
function explain(which) {
  const x = some(validation.pictures, [digit]), shares = LABELS.map(() => 0);
  showPicture($('digit'), Array.from(x, v => v * std + mean));
  $('answer').textContent = '?';
  if (which.length) {
    const kept = some(support, which), { says } = sayings(kept, which.map(i => LABELS[i])), [row] = kernelOf(x, kept);
    const answer = best(answers([row], says)[0]);
    which.forEach((i, j) => { shares[i] = row[j].value * says[j][answer]; });
    const most = shares.indexOf(Math.max(...shares)), largest = Math.max(...shares.map(Math.abs));
    pictures.forEach(({ button }, i) => button.style.setProperty('--share', (shares[i] / largest).toFixed(3)));
    $('answer').textContent = answer;
    $('because').textContent =
      `It is a ${validation.labels[digit]}; a picture for ${LABELS[most]} says most for the answer ${answer}.`;
  }
  pictures.forEach(({ button }, i) => { button.dataset.speaks = shares[i] > 0 ? 'for' : shares[i] < 0 ? 'against' : ''; });
}

$('learn').addEventListener('click', async () => {
  for (const button of document.querySelectorAll('.play button')) button.disabled = true;
  say('Learning the support pictures.');
  present = new Set(LABELS.keys());
  const learning = new Learned(support, [], { outerSteps: OUTER_STEPS, decay: 0, clip: Infinity });
  for (let k = 1; k <= OUTER_STEPS; k++) {
    const which = Array.from({ length: BATCH }, () => random.below(train.labels.length));
    const { gradient } = supportGradient(learning.free[0], LABELS, some(train.pictures, which), which.map(i => train.labels[i]));
    learning.step(gradient, []);
    support = Float64Array.from(learning.mean[0]);
    if (k % 4 === 0) {
      if (!calm.matches) show(true);
      $('reported').textContent = `Outer step ${k} of ${OUTER_STEPS}.`;
      await new Promise(resolve => setTimeout(resolve));
    }
  }
  learned = true;
  for (const button of document.querySelectorAll('.play button')) button.disabled = false;
  show();
  say(`Learned. ${result()} ${$('reported').textContent}`);
});
$('real').addEventListener('click', () => {
  [support, learned, present] = [realSupport(), false, new Set(LABELS.keys())];
  show();
  say(`Twenty other real digits. ${result()}`);
});
$('weakest').addEventListener('click', () => {
  if (present.size < 2) return;
  const least = [...present].reduce((a, b) => (+pictures[b].button.dataset.lost < +pictures[a].button.dataset.lost ? b : a));
  pictures[least].button.click();
});
$('all').addEventListener('click', () => { present = new Set(LABELS.keys()); show(); say('All twenty pictures are back.'); });
$('sample').addEventListener('click', () => {
  digit = random.below(validation.labels.length);
  show();
  say(`${$('because').textContent} It is read as ${$('answer').textContent}.`);
});
show();
document.body.dataset.ready = 'yes';
