"""The check of assignment 5, task 3: images that learn, and networks on their way."""

import torch

from ddlite import unroll
from ddlite.course.a5 import CLASSES, called, gradient, squared, trial
from ddlite.course.checks import check, demand, telling


def condensed(condense, seed=3):
    """Task 3: `condense(loss, starts, images, labels, slope, matches, between, step_size, rate, momentum)`."""
    for number in range(2):
        (loss, starts, images, labels, slope, *numbers), right, mistakes = telling(_walks, seed + 10 * number, tolerance=1e-3)
        kept = [one.detach().clone() for one in (images, labels, *(w for weights in starts for w in weights))]
        steps, at = [], []

        def counted(weights, pixels, their_labels, loss=loss, steps=steps):
            steps.append(len(pixels))
            return loss(weights, pixels, their_labels)

        def watched(weights, pixels, slope=slope, at=at):
            at.append(all(w.grad_fn is None for w in weights))
            return slope(weights, pixels)

        mine = called(condense, counted, starts, images, labels, watched, *numbers,
                      forgotten="Is something differentiated that is to be constant?")
        demand(all(torch.equal(a, b) for a, b in zip((images, labels, *(w for ws in starts for w in ws)), kept)),
               "What came in was changed: make new images and weights (images = images - ...).")
        check(mine, right, mistakes, "condense(...)", tolerance=1e-5)
        demand(all(at), "The weights that you match at still know how they were trained: the graph grows with every step. Make "
                        "them constants (create_graph=False, or .detach()).")
        matches, between = numbers[:2]
        wanted = len(starts) * (matches - 1) * between
        demand(len(steps) <= wanted, f"Networks take {len(steps)} gradient steps in all, {wanted} are needed: nobody looks at "
                                     "a network after its last match.")


def _walks(seed):
    loss, weights, images, labels, real, real_labels = trial(seed, 1)
    starts = [weights, trial(seed + 1)[1]]
    generator = torch.Generator().manual_seed(seed)
    matches, between = 2 + seed // 10 % 2, 2 + seed // 20 % 2
    step_size, rate, momentum = (0.1 + 0.3 * torch.rand(3, generator=generator, dtype=torch.float64)).tolist()
    momentum += 0.3

    def slope(weights, images):
        weights, pixels = [w.detach().requires_grad_() for w in weights], images.detach().clone().requires_grad_()
        total = sum(squared(gradient(loss, weights, pixels[labels == c], labels[labels == c], create_graph=True),
                            gradient(loss, weights, real[real_labels == c], real_labels[real_labels == c]))
                    for c in range(CLASSES))
        return torch.autograd.grad(total, pixels)[0]

    def walked(weights, on, number, step_size, by_class=False):
        parts = [labels == c for c in range(CLASSES)] if by_class else [labels == labels]
        steps = [(on[part], labels[part], step_size) for _ in range(number) for part in parts]
        return unroll.train(loss, weights, steps, create_graph=False)

    def learned(starts=starts, matches=matches, between=between, step_size=step_size, rate=rate, momentum=momentum, forget="",
                share=1.0, nesterov=False, on="now", by_class=False, go_on=False, late=False, first_walk=False):
        pixels, velocity, weights = images, torch.zeros_like(images), starts[0]
        for start in starts:
            weights, summed = weights if go_on else start, 0
            velocity = 0 * velocity if forget == "network" else velocity
            for match in range(matches):
                weights = walked(weights, pixels, between, step_size) if first_walk else weights
                before, found = pixels, slope(weights, pixels)
                velocity = momentum * velocity + share * found
                move = found + momentum * velocity if nesterov else velocity
                summed = summed + found
                pixels = pixels if late else pixels - rate * move
                if match + 1 < matches and not first_walk:
                    shown = {"now": pixels, "before": before, "first": images}[on]
                    weights = walked(weights, shown, between, step_size, by_class)
            pixels = pixels - rate * summed if late else pixels
        return pixels

    right = learned()
    return (loss, starts, images, labels, slope, matches, between, step_size, rate, momentum), right, {
        "The images' momentum is lost at each new network: make it once, and keep it to the end.": learned(forget="network"),
        "The images have no momentum.": learned(momentum=0),
        "The new gradient is multiplied by 1 - momentum: here it counts in full.": learned(share=1 - momentum),
        "This is Nesterov's momentum: the step is the velocity itself.": learned(nesterov=True),
        "The networks take no steps between the matches.": learned(between=0),
        "The networks are trained on the images as they were before the match.": learned(on="before"),
        "The networks are trained on the images as they came in: on those of now.": learned(on="first"),
        "The networks take a step for each class: all images are in one batch.": learned(by_class=True),
        "A network goes on where the one before it ended: each begins at its own weights.": learned(go_on=True),
        "Only the first network is used.": learned(starts=starts[:1]),
        "Only the last network is used: the images go on from network to network.": learned(starts=starts[-1:]),
        "The networks come in another order.": learned(starts=starts[::-1]),
        "The networks climb: subtract the gradient.": learned(step_size=-step_size),
        "The images climb: subtract the gradient.": learned(rate=-rate),
        "The rate of the images and the step size of the networks are exchanged.": learned(rate=step_size, step_size=rate),
        "The networks learn with the rate of the images: they have a step size of their own.": learned(step_size=rate),
        "The images learn with the step size of the networks.": learned(rate=step_size),
        "One match of each network is missing.": learned(matches=matches - 1),
        "Each network is matched once too often.": learned(matches=matches + 1),
        "One step between two matches is missing.": learned(between=between - 1),
        "There is one step too many between two matches.": learned(between=between + 1),
        **({"One step between two matches, whatever `between` says.": learned(between=1)} if between > 2 else {}),
        "The network is trained before it is matched: the fresh one is the first to be looked at.": learned(first_walk=True),
        "Each network is matched once only.": learned(matches=1),
        "The images take one step for each network, after its last match: one after each match.": learned(late=True),
        "The images are as they came in.": images,
    }
