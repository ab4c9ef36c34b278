"""The checks of assignment 1, one call a task: differentiate through a training step."""

import torch

import ddlite as dd
from ddlite.course.checks import alone, check, demand, equal, example, follows, telling

ALL = slice(None)


def hand(by_hand, seed=1):
    """Task 1: `by_hand(w, x, y, eta, wanted)` computes w1, dG/dx and dG/deta by formulas."""
    for number in range(5):
        # Where G is huge, differences of it have lost the digits that formulas keep.
        given, right, mistakes = telling(_hand, seed + 100 * number) if number < 4 else _hand(seed + 100 * number, far=1e8)
        try:
            with torch.inference_mode(), alone(by_hand, "by_differences", autograd=False):
                mine = by_hand(*(Given(one, moves) for one, moves in zip(given, (False, True, False, True, False))))
        except RuntimeError as error:
            demand("grad" not in str(error) and "inference" not in str(error).lower(),
                   "Compute the formulas: PyTorch's autograd is switched off here.")
            raise
        check(mine, right, mistakes, "by_hand(...)")
        first, *others = (abs(float(one) / other - 1) for one, other in zip(mine, right))
        demand(first > 1e-13 or max(others) < 1e-11, "These derivatives agree to nine digits or so, as finite differences do: "
               "compute the formulas.")


class Given(float):
    """A number that an answer is called with. Who moves x or eta a little, as finite differences do, is told so."""

    def __new__(cls, value, watched=False):
        number = super().__new__(cls, value)
        number.watched = watched
        return number


def _operation(name):
    plain, adds, scales = getattr(float, name), "add" in name or "sub" in name, "mul" in name or "truediv" in name

    def operation(self, other):
        if self.watched and type(other) in (int, float, complex):  # nothing that was computed from what was given
            demand(not ((adds and other != 0) or (scales and 0 < abs(other - 1) < 0.1)),
                   "A number that was handed in is moved a little: are these finite differences? Compute the formulas.")
        result = plain(self, other)
        return Given(result) if type(result) is float else result

    return operation


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"):
    setattr(Given, f"__{_name}__", _operation(f"__{_name}__"))


def _complex(self):
    demand(not self.watched, "A number that was handed in is made complex: is this a difference, too? Compute the formulas.")
    return complex(float(self))


Given.__complex__ = _complex


def _hand(seed, far=1.0):
    generator = torch.Generator().manual_seed(seed)
    w, x, y, wanted = ((0.5 + torch.rand(4, generator=generator, dtype=torch.float64))
                       * (1 - 2 * torch.randint(2, (4,), generator=generator))).tolist()
    wanted *= far
    eta = 0.1 + 0.3 * torch.rand((), generator=generator, dtype=torch.float64).item()
    w1 = w - eta * 2 * x * (w * x - y)
    outer, by_x, by_eta = 2 * (w1 - wanted), -eta * (4 * w * x - 2 * y), -2 * x * (w * x - y)
    if min(map(abs, (w1, outer, by_x, by_eta))) < 0.1:  # too near to 0: single precision would be wrong by chance
        return _hand(seed + 1, far)
    right = w1, outer * by_x, outer * by_eta
    return (w, x, y, eta, wanted), right, {} if far > 1 else {
        "Both derivatives have the wrong sign: the step subtracts eta times the gradient.": (w1, -right[1], -right[2]),
        "dG/dx has the wrong sign: the step subtracts eta times the gradient.": (w1, -right[1], right[2]),
        "dG/deta has the wrong sign: the step subtracts eta times the gradient.": (w1, right[1], -right[2]),
        "dG/dx: x stands in two places, 2x and (wx - y): use the product rule.":
            (w1, outer * -eta * 2 * (w * x - y), right[2]),
        "dG/dx: x stands in two places, 2x and (wx - y); you differentiated only the second.":
            (w1, outer * -eta * 2 * x * w, right[2]),
        "These are the derivatives of w1. The chain rule wants dG/dw1 = 2 (w1 - wanted), too.": (w1, by_x, by_eta),
        "dG/dw1 is 2 (w1 - wanted), at the new weight, not at the old one.":
            (w1, 2 * (w - wanted) * by_x, 2 * (w - wanted) * by_eta),
        "dG/dw1 is 2 (w1 - wanted), with its sign.": (w1, abs(outer) * by_x, abs(outer) * by_eta),
        "The two derivatives are in the wrong order: first dG/dx, then dG/deta.": (w1, right[2], right[1]),
        "A factor 2 is missing in both derivatives: the goal's square has one, and the step, too.":
            (w1, right[1] / 2, right[2] / 2),
        "dG/dx: the step size eta is missing.": (w1, right[1] / eta, right[2]),
        "dG/deta: w1 is linear in eta, so that its derivative does not hold eta.": (w1, right[1], right[2] * eta),
        "The first number is the old weight: return the new one.": (w, *right[1:]),
        "The step climbs: subtract eta times the gradient.": (2 * w - w1, *right[1:]),
        "The first number is the goal: return the new weight.": ((w1 - wanted) ** 2, *right[1:]),
    }


def step(answer, seed=1):
    """Task 2: `step(loss, weights, images, labels, step_size)`, one step through which one can differentiate."""
    for number in range(3):
        loss, weights, images, labels, step_sizes = example(seed + 10 * number, batches=3)
        loss = _times(loss, (1, 30, 0.03)[number])  # long gradients and short ones: neither is to be cut or stretched
        images, labels = images[number].requires_grad_(), labels[number]
        step_size = step_sizes[number].clone().requires_grad_()
        given, calls = (loss, weights, images, labels, step_size), []

        def counted(*arguments, loss=loss, calls=calls):
            calls.append(len(arguments))
            return loss(*arguments)

        before, picture = [w.detach().clone() for w in weights], images.detach().clone()
        with alone(answer, "slow_step"):
            new = answer(counted, *given[1:])
        demand(all(torch.equal(w, b) for w, b in zip(weights, before)),
               "The weights that came in were changed: compute w - step_size * g, without -= or .data.")
        demand(torch.equal(images, picture), "The images that came in were changed.")
        wanted = dd.train(loss, weights, [(images, labels, step_size)])
        _check_step(new, [w.detach() for w in wanted], before, step_size.detach())
        follows(new, step_size, "The new weights do not depend on the step size for autograd: "
                "is it detached, turned into a plain number (.item(), float()), or used under no_grad?")
        follows(new, images, "The new weights do not depend on the images for autograd: the gradient "
                "needs create_graph=True, and neither it nor the images may be detached.")
        _check_slopes(new, wanted, {"old weights": weights[0], "images": images, "step size": step_size})
        demand(len(calls) <= len(weights) + 2, f"The loss was called {len(calls)} times: are these finite differences? Compute "
               "it once, and let torch.autograd.grad differentiate it.")
        with alone(answer, "slow_step"):
            once_more = answer(*given)
            demand(equal(once_more, [w.detach() for w in wanted]), "Called a second time, it gives other weights: gradients in "
                   ".grad add up from call to call; torch.autograd.grad starts anew.")
            second = answer(loss, wanted, images, labels, step_size)
        check(second, [w.detach() for w in dd.train(loss, wanted, [(images, labels, step_size)])],
              what="A step that follows another one: step(..., the new weights, ...)")


def _times(loss, factor):
    return lambda *given: factor * loss(*given)


def _check_step(new, right, before, step_size):
    check(new, right, {
        "This step climbs: subtract the gradient.": [2 * b - r for b, r in zip(before, right)],
        "The weights are unchanged: is the step taken at all?": before,
        "This is the gradient alone, not the new weights.": [(b - r) / step_size for b, r in zip(before, right)],
        "This is the change alone, not the new weights.": [r - b for b, r in zip(before, right)],
        "The step size is missing.": [b - (b - r) / step_size for b, r in zip(before, right)],
        "The step is three times too long: the loss is a mean over the images already, not a sum.":
            [b - 3 * (b - r) for b, r in zip(before, right)],
        "The step is three times too short: the loss is a mean over the images already.":
            [b - (b - r) / 3 for b, r in zip(before, right)],
        "The step is twice as long as it should be: are gradients added up?": [b - 2 * (b - r) for b, r in zip(before, right)],
        "The gradient is divided by its norm: take it as it is.":
            [b - step_size * (b - r) / torch.cat([(c - s).flatten() for c, s in zip(before, right)]).norm()
             for b, r in zip(before, right)],
    }, "step(...)")


def _check_slopes(mine, wanted, sources):
    """Compare derivatives of a random sum of the new weights."""
    directions = [torch.randn(w.shape, generator=torch.Generator().manual_seed(0), dtype=w.dtype) for w in wanted]
    for words, source in sources.items():
        slopes = [torch.autograd.grad(sum((w * d).sum() for w, d in zip(after, directions)), source, retain_graph=True,
                                      materialize_grads=True, allow_unused=True) for after in (mine, wanted)]
        check(*slopes, what=f"The derivative of the new weights with respect to the {words} "
              "(is something detached on the way?)")


def train(answer, seed=2):
    """Task 3: `train(loss, weights, images, labels, step_sizes)`, all steps."""
    for number, (batches, passes) in enumerate(((2, 2), (3, 1), (3, 2), (1, 3))):
        given, order = example(seed + 10 * number, batches, passes), [t % batches for t in range(batches * passes)]
        loss, weights, images, labels, step_sizes = given
        images.requires_grad_(), step_sizes.requires_grad_()
        kept = [w.detach().clone() for w in (*weights, images, step_sizes)]

        def after(order=order, sizes=step_sizes, their_labels=None, given=given):
            loss, weights, images, labels, _ = given
            return dd.train(loss, weights, [(images[b], labels[c], s) for b, c, s in zip(order, their_labels or order, sizes)])

        right = after()
        mistakes = {
            "The weights are those from before: is the result of each step handed on?": weights,
            "The batches come in the wrong order: 0, 1, 0, 1, not 0, 0, 1, 1.": after(sorted(order)),
            "Only the first batch is used.": after([0] * len(order)),
            "Only the last batch is used.": after([batches - 1] * len(order)),
            "The labels are always those of the first batch: each batch has its own.": after(their_labels=[0] * len(order)),
            "The labels are not those of the batch: images[b] belong to labels[b].":
                after(their_labels=[(b + 1) % batches for b in order]),
            "Only one pass is made: there are as many steps as step sizes.": after(order[:batches]),
            "All steps use the first step size.": after(sizes=step_sizes[:1].expand(len(order))),
            "All steps use the last step size.": after(sizes=step_sizes[-1:].expand(len(order))),
            "All steps use the mean step size.": after(sizes=step_sizes.mean().expand(len(order))),
            "The step sizes run backwards.": after(sizes=step_sizes.flip(0)),
            "The batches run backwards.": after(order[::-1]),
            "The batches begin with the second one: step 0 uses batch 0.": after([(b + 1) % batches for b in order]),
            "Every step starts from the first weights: hand the new ones on to the next step.":
                after(order[-1:], step_sizes[-1:]),
            "The last step is missing.": after(order[:-1], step_sizes[:-1]),
            "The first step is missing.": after(order[1:], step_sizes[1:]),
            "Only the first step is taken: does the loop return too early?": after(order[:1], step_sizes[:1]),
            "Each batch has its own step size here; each step must have one: step_sizes[t].":
                after(sizes=step_sizes[:batches].repeat(passes)),
        }
        with alone(answer):
            mine = answer(*given)
        demand(all(torch.equal(now, before) for now, before in zip((*weights, images, step_sizes), kept)),
               "What came in was changed: leave weights, images and step sizes as they are.")
        same = [words for words, wrong in mistakes.items() if equal(wrong, right)]
        check(mine, right, {words: wrong for words, wrong in mistakes.items() if words not in same}, "train(...)")
        for source, words in ((images, "images"), (step_sizes, "step sizes")):
            follows(mine, source, f"The trained weights do not depend on the {words} for autograd: something on the way "
                    "is detached.")
        _check_slopes(mine, right, {"images (between the steps, too)": images, "step sizes": step_sizes,
                                    "first weights": weights[0]})


def meta(answer, seed=4):
    """Task 4: `meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)`, by one call of autograd."""
    for number, (batches, passes, factor) in enumerate(((2, 2, 1), (3, 1, 100), (2, 3, 0.01))):
        loss, weights, images, labels, step_sizes = given = example(seed + 20 * number, batches, passes)
        _, _, real, real_labels, _ = example(seed + 20 * number + 10)
        calls = []

        def goal_loss(weights, loss=loss, real=real[0], labels=real_labels[0], calls=calls, factor=factor):
            calls.append(len(calls))
            return factor * loss(weights, real, labels)

        value, by_images, by_sizes = right = _exact(given, goal_loss)
        on_synthetic = [_exact(given, lambda after, some=some, given=given: given[0](
            after, given[2][some].flatten(0, 1), given[3][some].flatten())) for some in ([0], [-1], ALL)]
        first_batch = torch.zeros_like(by_images)
        first_batch[0] = by_images[0]
        untrained, copies = goal_loss(weights).detach(), [t.clone() for t in (images, step_sizes, *weights)]
        mistakes = {
            "The gradients have the wrong sign: return them as they are; an optimiser subtracts them.":
                (value, -by_images, -by_sizes),
            "The two gradients are in the wrong order: images first.": (value, by_sizes, by_images),
            "The gradient of the step sizes is missing: all zeros.": (value, by_images, torch.zeros_like(by_sizes)),
            "Only the first batch of images gets a gradient.": (value, first_batch, by_sizes),
            "The value is that of the untrained network.": (untrained, by_images, by_sizes),
            "This is for the loss on the synthetic images; the goal is the loss on real ones.": on_synthetic[2],
            "This is for the loss on the first synthetic batch; the goal is that on real ones.": on_synthetic[0],
            "This is for the loss on the last synthetic batch; the goal is that on real ones.": on_synthetic[1],
            "The gradients are divided by their length: return them as they are.":
                (value, by_images / by_images.norm(), by_sizes / by_sizes.norm()),
            "The gradients are divided by the number of steps: the goal is looked at once, at the end.":
                (value, by_images / len(step_sizes), by_sizes / len(step_sizes)),
            "The gradients are twice as large: are two calls added up in .grad?": (value, 2 * by_images, 2 * by_sizes),
        }
        calls.clear()
        with alone(answer, "slow_meta_gradient"):
            mine = answer(loss, goal_loss, *given[1:])
        check(mine, right, mistakes, "meta_gradient(...)")
        demand(len(calls) <= 4, f"goal_loss was called {len(calls)} times: are these finite differences? Train once, and "
               "let torch.autograd.grad do it.")
        demand(not images.requires_grad and not step_sizes.requires_grad, "The images or step sizes "
               "that came in were changed: work on copies (.detach().clone().requires_grad_()).")
        demand(all(torch.equal(a, b) for a, b in zip((images, step_sizes, *weights), copies)),
               "What came in was changed: leave images, step sizes and weights as they are.")


def _exact(given, goal_loss):
    loss, *others = given
    value, gradients = dd.meta_gradient(loss, goal_loss, *others)
    return value, gradients["images"], gradients["step_sizes"]
