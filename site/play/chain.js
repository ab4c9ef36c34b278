// The gradient through a training, for a chain of layers: ddlite/engines/chain.py and adjoint.py in JavaScript.
//
// Why by hand: @jax-js/jax 0.1.25 and @tensorflow/tfjs 4.22 take about a hundred times as long for an outer step of this size,
// and both give wrong second derivatives without an error: jax-js through `jit` and for arguments that it holds constant, tfjs
// for exp, softmax and their like, whose gradients take their own output for a constant. Trust no meta-gradient that was not
// compared with another one; tests/test_site.py compares this one with ddlite's.

/** Layers one after another, and a cross-entropy at the end. `products` are matrix products on a memory. */
export class Chain {
  constructor(layers, products, classes = 10) {
    Object.assign(this, { layers, products, classes, memory: products.memory });
    this.first = layers.findIndex(layer => layer.place !== undefined);
  }

  /** Weights times columns, added to `into` if given, else with the bias. */
  outcome(layer, weights, columns, n, into = null) {
    const many = layer.places(n), out = into ?? this.memory.take(layer.out * many);
    if (!into) weights[layer.place + 1].forEach((bias, i) => out.fill(bias, i * many, (i + 1) * many));
    this.products.times(weights[layer.place], columns, out, layer.out, layer.rows, many, true);
    return out;
  }

  /** The gradient of a layer's matrix, added to `into` if given. */
  toMatrix(layer, gradient, columns, n, into = null) {
    const out = into ?? this.memory.take(layer.out * layer.rows);
    this.products.timesTurned(gradient, columns, out, layer.out, layer.places(n), layer.rows, into !== null);
    return out;
  }

  toBias(layer, gradient, n) {
    const many = layer.places(n), out = this.memory.take(layer.out);
    for (let i = 0, at = 0; i < layer.out; i++) {
      let sum = 0;
      for (let j = 0; j < many; j++, at++) sum += gradient[at];
      out[i] = sum;
    }
    return out;
  }

  /** The gradient of a layer's columns, added to `into` if given. */
  toColumns(layer, matrix, gradient, n, into = null) {
    const many = layer.places(n), out = into ?? this.memory.take(layer.rows * many);
    this.products.turnedTimes(matrix, gradient, out, layer.rows, layer.out, many, into !== null);
    return out;
  }

  /** (classes, n): the larger, the more likely. */
  logits(weights, pictures, n) {
    return this.layers.reduce((hidden, layer) => layer.place === undefined ? layer.value(this.memory, hidden, n)[0]
      : this.outcome(layer, weights, layer.columns(this.memory, hidden, n), n), pictures);
  }

  /** The gradient of the cross-entropy with respect to the weights, and the way back through it.
   *
   *  pictures are (channels, height, width, n), labels n class numbers; the loss is a sum over them divided by `total`.
   *  `back(direction)` gives the gradients of the inner product of these gradients with a direction (a list like the weights),
   *  with respect to the weights (a list) and to the pictures. */
  derivatives(weights, pictures, labels, n, total = n) {
    const { layers, memory, first } = this, given = [], known = [], arriving = [], gradients = [];
    let hidden = pictures;
    layers.forEach((layer, k) => {
      if (layer.place === undefined) return [hidden, known[k]] = layer.value(memory, hidden, n);
      given[k] = layer.columns(memory, hidden, n);
      hidden = this.outcome(layer, weights, given[k], n);
    });
    const { loss, right, shares, gradient: bottom } = this.crossEntropy(hidden, labels, n, total);
    let gradient = bottom;
    for (let k = layers.length - 1; k >= first; k--) {
      const layer = layers[k];
      if (layer.place === undefined) { gradient = layer.pull(memory, gradient, known[k], n); continue; }
      arriving[k] = gradient;
      gradients[layer.place] = this.toMatrix(layer, gradient, given[k], n);
      gradients[layer.place + 1] = this.toBias(layer, gradient, n);
      if (k > first) gradient = layer.pictures(memory, this.toColumns(layer, weights[layer.place], gradient, n), n);
    }

    const back = direction => {
      const moved = [], found = [];  // how what a layer is given changes when the weights move along the direction
      let change = null;
      layers.forEach((layer, k) => {
        if (layer.place === undefined) return change = change && layer.push(memory, change, known[k]);
        const out = this.outcome(layer, direction, given[k], n);
        if (change) {
          moved[k] = layer.columns(memory, change, n);
          this.outcome(layer, weights, moved[k], n, out);
        }
        change = out;
      });
      let bent = this.softmaxChange(shares, change, n, total);  // how the gradient changes
      for (let k = layers.length - 1; k >= 0; k--) {
        const layer = layers[k];
        if (layer.place === undefined) { bent = layer.pull(memory, bent, known[k], n); continue; }
        found[layer.place] = this.toMatrix(layer, bent, given[k], n);
        if (moved[k]) this.toMatrix(layer, arriving[k], moved[k], n, found[layer.place]);
        found[layer.place + 1] = this.toBias(layer, bent, n);
        const both = this.toColumns(layer, weights[layer.place], bent, n);
        this.toColumns(layer, direction[layer.place], arriving[k], n, both);
        bent = layer.pictures(memory, both, n);
      }
      return [found, bent];
    };
    return { loss, right, gradients, back };
  }

  /** The loss, how many pictures are read correctly, the shares of the classes (softmax), and the gradient of the logits. */
  crossEntropy(logits, labels, n, total) {
    const { classes, memory } = this, shares = memory.take(classes * n), gradient = memory.take(classes * n);
    let loss = 0, right = 0;
    for (let j = 0; j < n; j++) {
      let best = 0, sum = 0;
      for (let i = 1; i < classes; i++) if (logits[i * n + j] > logits[best * n + j]) best = i;
      const top = logits[best * n + j];
      for (let i = 0; i < classes; i++) sum += shares[i * n + j] = Math.exp(logits[i * n + j] - top);
      for (let i = 0; i < classes; i++) gradient[i * n + j] = ((shares[i * n + j] /= sum) - (i === labels[j] ? 1 : 0)) / total;
      loss += (top + Math.log(sum) - logits[labels[j] * n + j]) / total;
      right += best === labels[j] ? 1 : 0;
    }
    return { loss, right, shares, gradient };
  }

  /** How the gradient of the logits changes when the logits do. */
  softmaxChange(shares, change, n, total) {
    const { classes } = this, out = this.memory.take(classes * n);
    for (let j = 0; j < n; j++) {
      let mean = 0;
      for (let i = 0; i < classes; i++) mean += shares[i * n + j] * change[i * n + j];
      for (let i = 0; i < classes; i++) out[i * n + j] = shares[i * n + j] * (change[i * n + j] - mean) / total;
    }
    return out;
  }

  /** The weights after a gradient step. */
  stepped(weights, gradients, size) {
    return weights.map((weight, i) => {
      const next = this.memory.take(weight.length), gradient = gradients[i];
      for (let j = 0; j < next.length; j++) next[j] = weight[j] - size * gradient[j];
      return next;
    });
  }

  /** The weights after a training: one step on the same pictures for each step size. */
  train(weights, pictures, labels, n, stepSizes) {
    for (const size of stepSizes) {
      weights = this.stepped(weights, this.derivatives(weights, pictures, labels, n).gradients, size);
    }
    return weights;
  }

  /** Percent of the pictures of all parts [{pictures, labels, n}] that are read correctly. */
  accuracy(weights, parts) {
    let right = 0, total = 0;
    for (const { pictures, labels, n } of parts) {
      right += this.memory.scoped(() => this.crossEntropy(this.logits(weights, pictures, n), labels, n, n).right);
      total += n;
    }
    return 100 * right / total;
  }

  /** The loss on real pictures, given in parts, and its gradient with respect to the weights. */
  goal(weights, parts) {
    const { memory } = this, total = parts.reduce((sum, part) => sum + part.n, 0), sums = weights.map(w => memory.zeros(w.length));
    let loss = 0;
    for (const { pictures, labels, n } of parts) memory.scoped(() => {
      const part = this.derivatives(weights, pictures, labels, n, total);
      loss += part.loss;
      sums.forEach((sum, i) => addTo(sum, part.gradients[i]));
    });
    return { loss, gradients: sums };
  }

  /** The loss on real pictures after a training, and its gradients with respect to what the training was done with:
   *  {loss, pictures, stepSizes}. From the last step back, as in ddlite.adjoint. */
  metaGradient(weights, pictures, labels, n, stepSizes, real) {
    const { memory } = this, steps = [];
    for (const size of stepSizes) {
      steps.push(this.derivatives(weights, pictures, labels, n));
      weights = this.stepped(weights, steps.at(-1).gradients, size);
    }
    const { loss, gradients: toWeights } = this.goal(weights, real);
    const toPictures = memory.zeros(pictures.length), toStepSizes = stepSizes.map(() => 0);
    for (let t = stepSizes.length - 1; t >= 0; t--) {
      const { gradients, back } = steps[t];
      const direction = toWeights.map((gradient, i) => {
        const out = memory.take(gradient.length), of = gradients[i];
        for (let j = 0; j < out.length; j++) { out[j] = -stepSizes[t] * gradient[j]; toStepSizes[t] -= of[j] * gradient[j]; }
        return out;
      });
      const [byWeights, byPictures] = back(direction);
      toWeights.forEach((gradient, i) => addTo(gradient, byWeights[i]));
      addTo(toPictures, byPictures);
    }
    return { loss, pictures: toPictures, stepSizes: toStepSizes };
  }
}

function addTo(sum, more) { for (let i = 0; i < sum.length; i++) sum[i] += more[i]; }

/** A matrix of so many rows, turned: from (n, pixels) to (pixels, n), or back. */
export function turned(matrix, rows, memory = null) {
  const columns = matrix.length / rows, out = memory ? memory.take(matrix.length) : new Float32Array(matrix.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = matrix[i * columns + j];
  return out;
}
