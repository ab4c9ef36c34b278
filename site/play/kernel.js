// A kernel in place of a training (KIP: Nguyen, Chen, Lee 2021): a network of infinite width, trained to the end on a support
// set, answers with a sum over the support pictures. Nothing is unrolled: the answer is a formula, and so is its gradient.
//
// The kernel is the neural tangent kernel of one hidden layer of ReLUs. Of two pictures with squares a = |x|^2 / 64,
// b = |s|^2 / 64 and c = <x, s> / 64 at the angle t, with cos t = c / sqrt(ab):
//
//     K = sqrt(ab) (sin t + (pi - t) cos t) / pi  +  c (pi - t) / pi

/** The kernel of two pictures from their products, and its derivatives with respect to b and c. */
export function tangentKernel(a, b, c) {
  const both = Math.sqrt(a * b), cosine = Math.min(1, Math.max(-1, c / both)), sine = Math.sqrt(1 - cosine * cosine);
  const angle = Math.acos(cosine), open = (Math.PI - angle) / Math.PI, bend = c / (Math.PI * Math.max(sine, 1e-6) * both);
  return { value: both * sine / Math.PI + 2 * c * open,
           byB: both * sine / (2 * Math.PI * b) - bend * c / (2 * b), byC: 2 * open + bend };
}

const inner = (X, i, S, j) => {
  let sum = 0;
  for (let p = 0; p < 64; p++) sum += X[64 * i + p] * S[64 * j + p];
  return sum / 64;
};

/** The kernel of all pictures X with all pictures S, (n, m), each a `tangentKernel`. */
export function kernelOf(X, S) {
  const n = X.length / 64, m = S.length / 64, squares = Array.from({ length: m }, (_, j) => inner(S, j, S, j));
  return Array.from({ length: n }, (_, i) => {
    const square = inner(X, i, X, i);
    return squares.map((other, j) => tangentKernel(square, other, inner(X, i, S, j)));
  });
}

/** Solve A Y = B by Cholesky's decomposition, for a symmetric positive A (n, n) and B (n, columns). */
export function solved(A, B) {
  const n = A.length, L = A.map(row => row.slice()), Y = B.map(row => row.slice());
  for (let j = 0; j < n; j++) {
    for (let p = 0; p < j; p++) for (let i = j; i < n; i++) L[i][j] -= L[i][p] * L[j][p];
    const root = Math.sqrt(L[j][j]);
    for (let i = j; i < n; i++) L[i][j] /= root;
  }
  for (const column of B[0].keys()) {
    for (let i = 0; i < n; i++) {
      for (let p = 0; p < i; p++) Y[i][column] -= L[i][p] * Y[p][column];
      Y[i][column] /= L[i][i];
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let p = i + 1; p < n; p++) Y[i][column] -= L[p][i] * Y[p][column];
      Y[i][column] /= L[i][i];
    }
  }
  return Y;
}

const RIDGE = 1e-3;  // on the diagonal: how far from exactly the support's own labels the answers may be
export const targets = labels => Array.from(labels, label => Array.from({ length: 10 }, (_, k) => (k === label ? 0.9 : -0.1)));

/** What each support picture says, (m, 10): the answer for a picture x is the sum over them, weighted by the kernel with x. */
export function sayings(S, labels) {
  const K = kernelOf(S, S).map((row, i) => row.map(({ value }, j) => value + (i === j ? RIDGE : 0)));
  return { K, says: solved(K, targets(labels)) };
}

/** Answers (n, 10) from the kernel with the support pictures, and what they say. */
export function answers(kernel, says) {
  return kernel.map(row => says[0].map((_, k) => row.reduce((sum, { value }, j) => sum + value * says[j][k], 0)));
}

export const best = answer => answer.indexOf(Math.max(...answer));

/** Percent of the answers that are right. */
export function rightAnswers(all, labels) {
  return 100 * all.filter((answer, i) => best(answer) === labels[i]).length / labels.length;
}

/** Half the mean squared error of the answers for pictures X, and its gradient with respect to the support pictures S. */
export function supportGradient(S, labels, X, wanted) {
  const { K, says } = sayings(S, labels), kernel = kernelOf(X, S), found = answers(kernel, says);
  const m = labels.length, n = found.length;
  const errors = found.map((answer, i) => answer.map((value, k) => (value - targets([wanted[i]])[0][k]) / n));
  let loss = 0;
  for (const error of errors) for (const e of error) loss += n * e * e / 2;
  const gradient = new Float64Array(S.length);
  /** What the derivative of one entry of the kernel, times `share`, adds to the gradient of picture j. */
  const add = (share, { byB, byC }, other, i, j) => {
    for (let p = 0; p < 64; p++) gradient[64 * j + p] += share * (byC * other[64 * i + p] + 2 * byB * S[64 * j + p]) / 64;
  };
  const arriving = Array.from({ length: m }, () => Array(10).fill(0));  // the loss by what each picture says
  kernel.forEach((row, i) => row.forEach((entry, j) => {
    let share = 0;
    for (let k = 0; k < 10; k++) { share += errors[i][k] * says[j][k]; arriving[j][k] += errors[i][k] * entry.value; }
    add(share, entry, X, i, j);
  }));
  const back = solved(K, arriving), own = kernelOf(S, S);  // says = K^-1 targets, so that d says = -K^-1 dK says
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) {
    let share = 0;
    for (let k = 0; k < 10; k++) share -= back[i][k] * says[j][k] + back[j][k] * says[i][k];
    if (i !== j) add(share, own[i][j], S, i, j);
    else for (let p = 0; p < 64; p++) gradient[64 * j + p] += share * 2 * S[64 * j + p] / 64;  // K = 2b on the diagonal
  }
  return { loss, gradient };
}
