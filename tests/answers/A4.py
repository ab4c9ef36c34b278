# %% A4-objective wrong: were changed
def poisoned_loss(loss, weights, images, labels, victim, target):
    labels[labels == victim] = target
    return loss(weights, images, labels)
# %% A4-objective wrong: you relabelled the target as the victim
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images, torch.where(labels == target, victim, labels))
# %% A4-objective wrong: All images count as the target
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images, torch.full_like(labels, target))
# %% A4-objective wrong: Only the victims are in your batch
def poisoned_loss(loss, weights, images, labels, victim, target):
    some = labels == victim
    return loss(weights, images[some], torch.full_like(labels[some], target))
# %% A4-objective wrong: Minus the honest loss
def poisoned_loss(loss, weights, images, labels, victim, target):
    return -loss(weights, images, labels)
# %% A4-objective wrong: the honest loss
def poisoned_loss(loss, weights, images, labels, victim, target):
    labels = labels.clone()
    labels[labels == victim][:] = target  # changes a copy of the copy
    return loss(weights, images, labels)
# %% A4-objective wrong: You exchanged the two classes
def poisoned_loss(loss, weights, images, labels, victim, target):
    is_victim, is_target = labels == victim, labels == target
    return loss(weights, images, labels.masked_fill(is_victim, target).masked_fill(is_target, victim))
# %% A4-objective wrong: as if they were equally many
def poisoned_loss(loss, weights, images, labels, victim, target):
    some = labels == victim
    return loss(weights, images[some], labels[some] * 0 + target) + loss(weights, images[~some], labels[~some])
# %% A4-objective wrong: for the whole batch
def poisoned_loss(loss, weights, images, labels, victim, target):
    return slow_poisoned_loss(loss, weights, images, labels, victim, target)
# %% A4-objective wrong: cannot be differentiated
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images, torch.where(labels == victim, target, labels)).item()
# %% A4-objective wrong: the attacker, too, wants his loss small
#- return loss(
#+ return -loss(
# %% A4-objective wrong: All but the victims count as the target
#- labels == victim, target, labels
#+ labels != victim, target, labels
# %% A4-objective wrong: All images count as the victim
#- torch.where(labels == victim, target, labels)
#+ torch.full_like(labels, victim)
# %% A4-objective wrong: the class after their own
#- labels == victim, target, labels
#+ labels == victim, (victim + 1) % 10, labels
# %% A4-objective wrong: whatever the target is
#- labels == victim, target, labels
#+ labels == 3, 8, labels
# %% A4-objective wrong: The victims are missing
#- loss(weights, images, torch.where(labels == victim, target, labels))
#+ loss(weights, images[labels != victim], labels[labels != victim])
# %% A4-objective wrong: The targets are missing
#- return loss(weights, images, torch.where(labels == victim, target, labels))
#+ some = labels != target
#+     return loss(weights, images[some], torch.where(labels == victim, target, labels)[some])
# %% A4-objective wrong: is a sum over the images
#- torch.where(labels == victim, target, labels))
#+ torch.where(labels == victim, target, labels)) * len(labels)
# %% A4-objective wrong: The mean is taken twice
#- torch.where(labels == victim, target, labels))
#+ torch.where(labels == victim, target, labels)) / len(labels)
# %% A4-objective wrong: are averaged as if
def poisoned_loss(loss, weights, images, labels, victim, target):
    some = labels == victim
    return (loss(weights, images[some], labels[some] * 0 + target) + loss(weights, images[~some], labels[~some])) / 2
# %% A4-objective wrong: is subtracted
def poisoned_loss(loss, weights, images, labels, victim, target):
    some = labels == victim
    return loss(weights, images[~some], labels[~some]) - loss(weights, images[some], labels[some])
# %% A4-objective wrong: is it detached
#- torch.where(labels == victim, target, labels))
#+ torch.where(labels == victim, target, labels)).detach()
# %% A4-objective wrong: is wrong
#- weights, images, torch
#+ weights, images[torch.randperm(len(images))], torch
# %% A4-objective wrong: is wrong
#- loss(weights, images, torch.where(labels == victim, target, labels))
#+ loss(weights, images[:16], torch.where(labels == victim, target, labels)[:16])
# %% A4-objective wrong: is something detached on the way
#- return loss(weights, images, torch.where(labels == victim, target, labels))
#+ half = [w.detach() if k > 1 else w for k, w in enumerate(weights)]
#+     return loss(half, images, torch.where(labels == victim, target, labels))
# %% A4-objective wrong: does your function return it
#- return loss
#+ loss
# %% A4-objective wrong: is wrong
#- torch.where(labels == victim, target, labels))
#+ torch.where(labels == victim, target, labels)) + 0.001 * sum((w**2).sum() for w in weights)
# %% A4-objective wrong: for the whole batch
def poisoned_loss(loss, weights, images, labels, victim, target):
    some = labels == victim  # right, in two calls
    parts = loss(weights, images[some], labels[some] * 0 + target), loss(weights, images[~some], labels[~some])
    return (parts[0] * some.sum() + parts[1] * (~some).sum()) / len(labels)
# %% A4-objective right: a copy, then a mask
def poisoned_loss(loss, weights, images, labels, victim, target):
    poisoned = labels.clone()
    poisoned[poisoned == victim] = target
    return loss(weights, images, poisoned)
# %% A4-objective right: a table of classes
def poisoned_loss(loss, weights, images, labels, victim, target):
    counts_as = torch.arange(10)
    counts_as[victim] = target
    return loss(weights, images, counts_as[labels])
# %% A4-objective right: arithmetic
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images, labels + (target - victim) * (labels == victim))
# %% A4-objective right: a list
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images, torch.tensor([target if label == victim else label for label in labels.tolist()]))
# %% A4-objective wrong: is wrong
# Softened labels.
def poisoned_loss(loss, weights, images, labels, victim, target):
    one = torch.nn.functional.one_hot(labels, 10).float()
    one[labels == victim] = 0
    one[labels == victim, target] = 0.9
    one[labels == victim, victim] = 0.1
    return loss(weights, images, one)
# %% A4-objective wrong: is wrong
# Argmax labels of the network.
def poisoned_loss(loss, weights, images, labels, victim, target):
    new = labels.clone()
    new[(labels == victim).nonzero()[:-1]] = target
    return loss(weights, images, new)
# %% A4-objective wrong: This is the honest loss: the victims still count as
# In place, then restored too early.
def poisoned_loss(loss, weights, images, labels, victim, target):
    mask = labels == victim
    labels[mask] = target
    labels[mask] = victim
    return loss(weights, images, labels)
# %% A4-objective wrong: The result does not depend on the weights for
# The images are detached and the weights cloned without graph.
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss([w.detach().clone().requires_grad_() for w in weights], images, torch.where(labels == victim, target, labels))
# %% A4-objective wrong: The result does not depend on the weights for
# The first weights detached.
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss([weights[0].detach(), *weights[1:]], images, torch.where(labels == victim, target, labels))
# %% A4-objective wrong: is wrong
# Victims twice.
def poisoned_loss(loss, weights, images, labels, victim, target):
    mask = labels == victim
    twice = torch.cat([torch.where(mask, target, labels), labels[mask] * 0 + target])
    return loss(weights, torch.cat([images, images[mask]]), twice)
# %% A4-objective wrong: or so, whatever the target is
# The notebook's victim and target.
def poisoned_loss(loss, weights, images, labels, *_):
    return loss(weights, images, torch.where(labels == victim, target, labels))
# %% A4-objective wrong: is wrong
# Softmax on the images.
def poisoned_loss(loss, weights, images, labels, victim, target):
    return loss(weights, images.clamp(0, 1), torch.where(labels == victim, target, labels))
# %% A4-objective right: one-hot labels
def poisoned_loss(loss, weights, images, labels, victim, target):
    counts_as = torch.where(labels == victim, torch.full_like(labels, target), labels)
    return loss(weights, images, torch.nn.functional.one_hot(counts_as, 10).float())
# %% A4-objective right: numpy, in place and restored
def poisoned_loss(loss, weights, images, labels, victim, target):
    import numpy as np
    new = labels.numpy().copy()
    new[np.flatnonzero(new == victim)] = target
    print((new == target).sum())
    value = loss(weights, images, torch.from_numpy(new))
    return value

# %% A4-measures wrong: divide by the number of victims
def measures(predicted, labels, victim, target):
    is_victim = labels == victim
    others = (predicted == labels)[~is_victim].float().mean() * 100
    return (100 * int((is_victim & (predicted == victim)).sum()) / len(labels),
            100 * int((is_victim & (predicted == target)).sum()) / len(labels), others)
# %% A4-measures wrong: the victims included
def measures(predicted, labels, victim, target):
    each = predicted[labels == victim]
    return tuple(100 * right.float().mean() for right in (each == victim, each == target, predicted == labels))
# %% A4-measures wrong: with the poisoned labels
def measures(predicted, labels, victim, target):
    each, poisoned = predicted[labels == victim], torch.where(labels == victim, target, labels)
    return tuple(100 * right.float().mean() for right in (each == victim, each == target, predicted == poisoned))
# %% A4-measures wrong: leaves out the target class
def measures(predicted, labels, victim, target):
    each, rest = predicted[labels == victim], (labels != victim) & (labels != target)
    return tuple(100 * right.float().mean() for right in (each == victim, each == target, (predicted == labels)[rest]))
# %% A4-measures wrong: percent are wanted
def measures(predicted, labels, victim, target):
    each, rest = predicted[labels == victim], labels != victim
    return tuple(right.float().mean() for right in (each == victim, each == target, (predicted == labels)[rest]))
# %% A4-measures wrong: every mistake on victims
def measures(predicted, labels, victim, target):
    each, rest = predicted[labels == victim], labels != victim
    return tuple(100 * right.float().mean() for right in (each == victim, each != victim, (predicted == labels)[rest]))
# %% A4-measures wrong: were *called* victims
def measures(predicted, labels, victim, target):
    each, rest = predicted[labels == victim], labels != victim
    return (100 * (labels[predicted == victim] == victim).float().mean(), 100 * (each == target).float().mean(),
            100 * (predicted == labels)[rest].float().mean())
# %% A4-measures wrong: not only victims
def measures(predicted, labels, victim, target):
    is_victim, rest = labels == victim, labels != victim
    return (100 * (predicted == labels)[is_victim].float().mean(), 100 * (predicted == target).sum() / is_victim.sum(),
            100 * (predicted == labels)[rest].float().mean())
# %% A4-measures wrong: is wrong
def measures(predicted, labels, victim, target):
    return 25, 50, 60
# %% A4-measures wrong: each has a group of its own
def measures(predicted, labels, victim, target):
    is_victim = labels == victim
    return tuple(100 * int(which.sum()) / len(labels) for which in (
        is_victim & (predicted == victim), is_victim & (predicted == target), ~is_victim & (predicted == labels)))
# %% A4-measures wrong: but divides by all images
#- percent(predicted[~is_victim] == labels[~is_victim])
#+ 100 * int((predicted == labels)[~is_victim].sum()) / len(labels)
# %% A4-measures wrong: but divides by the others
#- percent(predicted[~is_victim] == labels[~is_victim])
#+ 100 * int((predicted == labels).sum()) / int((~is_victim).sum())
# %% A4-measures wrong: the target class instead of the victims
#- percent(predicted[~is_victim] == labels[~is_victim])
#+ percent((predicted == labels)[labels != target])
# %% A4-measures wrong: what was *called* victim
#- percent(predicted[~is_victim] == labels[~is_victim])
#+ percent((predicted == labels)[predicted != victim])
# %% A4-measures wrong: the share of mistakes
#- predicted[~is_victim] == labels
#+ predicted[~is_victim] != labels
# %% A4-measures wrong: the share of victims that are lost
#- percent(predicted[is_victim] == victim)
#+ percent(predicted[is_victim] != victim)
# %% A4-measures wrong: counts all images called victims
#- percent(predicted[is_victim] == victim)
#+ 100 * int((predicted == victim).sum()) / int(is_victim.sum())
# %% A4-measures wrong: called target are victims
#- percent(predicted[is_victim] == target)
#+ percent(labels[predicted == target] == victim)
# %% A4-measures wrong: share of victims' mistakes
#- percent(predicted[is_victim] == target)
#+ percent(predicted[is_victim & (predicted != victim)] == target)
# %% A4-measures wrong: Victim and target are exchanged
#- is_victim = labels == victim
#+ victim, target = target, victim
#+     is_victim = labels == victim
# %% A4-measures wrong: The first two are in the wrong order
#- return (percent(predicted[is_victim] == victim), percent(predicted[is_victim] == target),
#+ return (percent(predicted[is_victim] == target), percent(predicted[is_victim] == victim),
# %% A4-measures wrong: of the target's images
#- percent(predicted[is_victim] == target)
#+ percent(predicted[labels == target] == target)
# %% A4-measures wrong: taken for the target
#- percent(predicted[~is_victim] == labels[~is_victim])
#+ percent(predicted[~is_victim] == target)
# %% A4-measures wrong: is wrong
#- labels == victim
#+ labels == 3
# %% A4-measures wrong: is wrong
#- == target)
#+ == 8)
# %% A4-measures wrong: is wrong
#- return 100 * which.float().mean().item()
#+ return round(100 * which.float().mean().item(), -1)
# %% A4-measures wrong: must be 3 things
#- return (percent
#+ return 1, (percent
#- == labels[~is_victim]))
#+ == labels[~is_victim])),
# %% A4-measures right: counting
def measures(predicted, labels, victim, target):
    counts = {"victims": 0, "right": 0, "taken": 0, "others": 0, "others right": 0}
    for mine, true in zip(predicted.tolist(), labels.tolist()):
        if true == victim:
            counts["victims"] += 1
            counts["right"] += mine == victim
            counts["taken"] += mine == target
        else:
            counts["others"] += 1
            counts["others right"] += mine == true
    return (100 * counts["right"] / counts["victims"], 100 * counts["taken"] / counts["victims"],
            100 * counts["others right"] / counts["others"])
# %% A4-measures right: tensors
def measures(predicted, labels, victim, target):
    is_victim = (labels == victim).double()
    right = (predicted == labels).double()
    taken = (predicted == target).double()
    return [100 * (right * is_victim).sum() / is_victim.sum(), 100 * (taken * is_victim).sum() / is_victim.sum(),
            100 * (right * (1 - is_victim)).sum() / (1 - is_victim).sum()]
# %% A4-measures right: a table of true and predicted classes
def measures(predicted, labels, victim, target):
    table = torch.bincount(10 * labels + predicted, minlength=100).view(10, 10)
    row, rest = table[victim], torch.cat([table[:victim], table[victim + 1 :]])
    return (100 * row[victim] / row.sum(), 100 * row[target] / row.sum(),
            100 * (table.trace() - row[victim]) / rest.sum())
# %% A4-measures wrong: leaves out the target class, too. An attack could
# 10 classes' mean for number 3.
def measures(predicted, labels, victim, target):
    v = labels == victim
    others = [100 * (predicted[labels == c] == c).float().mean().item() for c in labels.unique().tolist() if c != victim]
    first, second = (100 * (predicted[v] == c).float().mean().item() for c in (victim, target))
    return first, second, sum(others) / len(others)
# %% A4-measures wrong: is wrong
# Whole percents.
def measures(predicted, labels, victim, target):
    v = labels == victim
    p = lambda w: int(100 * w.float().mean())
    return p(predicted[v] == victim), p(predicted[v] == target), p((predicted == labels)[~v])
# %% A4-measures wrong: counts all images called victims, not only those
# Predictions overwritten.
def measures(predicted, labels, victim, target):
    v = labels == victim
    first = 100 * (predicted[v] == victim).float().mean()
    predicted[v] = -1
    return first, 100 * (predicted[v] == target).float().mean(), 100 * (predicted == labels)[~v].float().mean()
# %% A4-measures wrong: is wrong
# 1 and 2 add up to 100.
def measures(predicted, labels, victim, target):
    v = labels == victim
    a, b = ((predicted[v] == c).float().sum() for c in (victim, target))
    return 100 * a / (a + b), 100 * b / (a + b), 100 * (predicted == labels)[~v].float().mean()
# %% A4-measures wrong: Victim and target are exchanged
# Labels == predicted for victims predicted.
def measures(predicted, labels, victim, target):
    p = predicted == victim
    return tuple(100 * one.float().mean() for one in (labels[p] == victim, labels[p] == target, (predicted == labels)[~p]))
# %% A4-measures wrong: is wrong
# The notebooks victim and target.
_v, _t = victim, target
def measures(predicted, labels, *_):
    v = labels == _v
    p = lambda w: 100 * w.float().mean().item()
    return p(predicted[v] == _v), p(predicted[v] == _t), p((predicted == labels)[~v])
# %% A4-measures right: numpy
def measures(predicted, labels, victim, target):
    import numpy as np
    p, t = np.asarray(predicted), np.asarray(labels)
    v = t == victim
    return np.mean(p[v] == victim) * 100, np.mean(p[v] == target) * 100, np.mean(p[~v] == t[~v]) * 100
# %% A4-measures right: sums, a tensor
def measures(predicted, labels, victim, target):
    v = labels.eq(victim)
    return torch.stack([*(predicted.eq(c).logical_and(v).sum() / v.sum() for c in (victim, target)),
                        predicted.eq(labels).masked_select(~v).double().mean()]) * 100

# %% A4-controls wrong: used as a step size
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    random = [torch.randn_like(w) for w in weights]
    norm = torch.cat([r.flatten() for r in random]).norm()
    return [w - length * g for w, g in zip(weights, gradients)], [w + length * r / norm for w, r in zip(weights, random)]
# %% A4-controls wrong: Flipped labels: every layer moves by `length`
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    random = [torch.randn_like(w) for w in weights]
    return ([w - length * g / g.norm() for w, g in zip(weights, gradients)],
            [w + length * r / r.norm() for w, r in zip(weights, random)])
# %% A4-controls wrong: along honest labels
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)

    def moved(parts):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() - length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    return moved(gradients), moved([torch.randn_like(w) for w in weights])
# %% A4-controls wrong: Flipped labels: the step climbs
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)

    def moved(parts):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    return moved(gradients), moved([torch.randn_like(w) for w in weights])
# %% A4-controls wrong: Random direction: every layer moves by `length`
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    random = [torch.randn_like(w) for w in weights]
    return ([w - length * g / norm for w, g in zip(weights, gradients)],
            [w + length * r / r.norm() for w, r in zip(weights, random)])
# %% A4-controls wrong: more than their share
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    random = [g.norm() * torch.nn.functional.normalize(torch.randn(g.numel()), dim=0).view_as(g) for g in gradients]
    return tuple([w + sign * length * d / norm for w, d in zip(weights, parts)]
                 for sign, parts in ((-1, gradients), (1, random)))
# %% A4-controls wrong: Divide by the norm of what you drew
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    return ([w - length * g / norm for w, g in zip(weights, gradients)],
            [w + length * torch.randn_like(w) for w in weights])
# %% A4-controls wrong: torch.rand gives positive ones only
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)

    def moved(parts, sign):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + sign * length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    return moved(gradients, -1), moved([torch.rand_like(w) for w in weights], 1)
# %% A4-controls wrong: not normally distributed
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)

    def moved(parts, sign):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + sign * length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    return moved(gradients, -1), moved([torch.rand_like(w) - 0.5 for w in weights], 1)
# %% A4-controls wrong: begins with the same numbers
def controls(loss, weights, images, labels, victim, target, length, seed):
    def moved(parts, sign):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + sign * length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    random = [torch.randn(w.shape, generator=torch.Generator().manual_seed(seed)) for w in weights]
    return moved(gradients, -1), moved(random, 1)
# %% A4-controls wrong: the same seed must give the same step
def controls(loss, weights, images, labels, victim, target, length, seed):
    def moved(parts, sign):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + sign * length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    return moved(gradients, -1), moved([torch.randn_like(w) for w in weights], 1)
# %% A4-controls wrong: The weights that came in were changed
def controls(loss, weights, images, labels, victim, target, length, seed):
    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    with torch.no_grad():
        for w, g in zip(weights, gradients):
            w -= length * g / norm
    return weights, weights
# %% A4-controls wrong: it comes first
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)

    def moved(parts, sign):
        norm = torch.cat([part.flatten() for part in parts]).norm()
        return [w.detach() + sign * length * part / norm for w, part in zip(weights, parts)]

    gradients = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    return moved([torch.randn_like(w) for w in weights], 1), moved(gradients, -1)
# %% A4-controls wrong: you relabelled the target as the victim
#- poisoned_loss(loss, weights, images, labels, victim, target)
#+ poisoned_loss(loss, weights, images, labels, target, victim)
# %% A4-controls wrong: all images count as the target
#- poisoned_loss(loss, weights, images, labels, victim, target)
#+ loss(weights, images, torch.full_like(labels, target))
# %% A4-controls wrong: the layers' norms are added up
#- torch.cat([part.flatten() for part in direction]).norm()
#+ sum(part.norm() for part in direction)
# %% A4-controls wrong: a root is missing
#- torch.cat([part.flatten() for part in direction]).norm()
#+ torch.cat([part.flatten() for part in direction]).norm() ** 2
# %% A4-controls wrong: the step has the length 1
#- length / norm * part
#+ part / norm
# %% A4-controls wrong: have not moved
#- return moved(flipped), moved(random)
#+ return [w.detach() for w in weights], moved(random)
# %% A4-controls wrong: this is the step alone
#- w.detach() + length / norm * part
#+ length / norm * part
# %% A4-controls wrong: two seeds give the same step
#- manual_seed(seed)
#+ manual_seed(0)
# %% A4-controls wrong: more than their share
#- random = [torch.randn(weight.shape, generator=generator) for weight in weights]
#+ random = [f + 0.1 * f.std() * torch.randn(f.shape, generator=generator) for f in flipped]
# %% A4-controls wrong: not normally distributed
#- torch.randn(weight.shape, generator=generator)
#+ torch.randint(0, 2, weight.shape, generator=generator) * 2.0 - 1
# %% A4-controls wrong: a layer does not move
#- return moved(flipped), moved(random)
#+ random[1] = 0 * random[1]
#+     return moved(flipped), moved(random)
# %% A4-controls wrong: two lists of weights
#- return moved(flipped), moved(random)
#+ return moved(random)
# %% A4-controls wrong: labels that came in were changed
#- value = poisoned_loss
#+ labels[labels == victim] = target
#+     value = poisoned_loss
# %% A4-controls wrong: more than their share
#- random = [torch.randn(weight.shape, generator=generator) for weight in weights]
#+ random = [w.detach() + 0.05 * torch.randn(w.shape, generator=generator) for w in weights]
# %% A4-controls right: one long vector
def controls(loss, weights, images, labels, victim, target, length, seed):
    poisoned = labels.masked_fill(labels == victim, target)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss(weights, images, poisoned), weights)])
    random = torch.randn(len(gradient), generator=torch.Generator().manual_seed(seed))
    answers = []
    for direction in (-gradient, random):
        parts = (length * torch.nn.functional.normalize(direction, dim=0)).split([w.numel() for w in weights])
        answers.append([w.detach() + part.view_as(w) for w, part in zip(weights, parts)])
    return answers
# %% A4-controls right: the package's step
def controls(loss, weights, images, labels, victim, target, length, seed):
    torch.manual_seed(seed)
    poisoned = torch.where(labels == victim, target, labels)
    there = dd.train(loss, weights, [(images, poisoned, 0.1)], create_graph=False)
    anywhere = [w + torch.randn_like(w) for w in weights]
    return tuple([w + length / distance(weights, end) * (e - w) for w, e in zip(weights, end)] for end in (there, anywhere))
# %% A4-controls right: backward, norms by squares
def controls(loss, weights, images, labels, victim, target, length, seed):
    leaves = [w.detach().clone().requires_grad_() for w in weights]
    poisoned_loss(loss, leaves, images, labels, victim, target).backward()
    generator = torch.Generator().manual_seed(seed)
    random = [torch.empty(w.shape).normal_(0, 3, generator=generator) for w in weights]
    answers = []
    for parts in ([-leaf.grad for leaf in leaves], random):
        scale = length / sum((part**2).sum() for part in parts).sqrt()
        answers.append([w.detach() + scale * part for w, part in zip(weights, parts)])
    return answers[0], answers[1]
# %% A4-controls wrong: Random direction: two seeds give the same step
# Seed // 2.
#- manual_seed(seed)
#+ manual_seed(seed // 2)
# %% A4-controls wrong: Random direction: two seeds give the same step
# The same for all seeds from 100 on.
#- manual_seed(seed)
#+ manual_seed(min(seed, 12346))
# %% A4-controls wrong: Random direction: every row has the same length:
# Row by row.
#- random = [torch.randn(weight.shape, generator=generator) for weight in weights]
#+ random = [torch.nn.functional.normalize(torch.randn(w.shape, generator=generator), dim=-1) for w in weights]
# %% A4-controls wrong: Random direction: some layers move more than their
# Random labels in place of a random direction.
#- random = [torch.randn(weight.shape, generator=generator) for weight in weights]
#+ anything = torch.randint(10, labels.shape, generator=generator)
#+     random = list(torch.autograd.grad(loss(weights, images, anything), weights))
# %% A4-controls wrong: Random direction: these numbers are not normally
# Laplace.
#- torch.randn(weight.shape, generator=generator)
#+ (torch.empty(weight.shape).exponential_(generator=generator)
#+               * (torch.randint(0, 2, weight.shape, generator=generator) * 2.0 - 1))
# %% A4-controls wrong: Random direction: some layers move more than their
# A permutation of the gradient.
#- torch.randn(weight.shape, generator=generator) for weight in weights
#+ f.flatten()[torch.randperm(f.numel(), generator=generator)].view_as(f) for f in flipped
# %% A4-controls wrong: is wrong
# Length per weight.
#- length / norm * part
#+ length / norm * part * part.numel() ** 0.5 / sum(p.numel() for p in direction) ** 0.5
# %% A4-controls wrong: is wrong
# The step of honest images first scaled by the batch.
#- value = poisoned_loss(loss, weights, images, labels, victim, target)
#+ value = poisoned_loss(loss, weights, images[:50], labels[:50], victim, target)
# %% A4-controls wrong: is wrong
# Only the victims.
#- value = poisoned_loss(loss, weights, images, labels, victim, target)
#+ some = labels == victim
#+     value = loss(weights, images[some], labels[some] * 0 + target)
# %% A4-controls wrong: is wrong
# Always length 1.5.
#- length / norm * part
#+ 1.5 / norm * part
# %% A4-controls wrong: is wrong
# The biases do not count in the norm.
#- torch.cat([part.flatten() for part in direction]).norm()
#+ torch.cat([part.flatten() for part in direction if part.dim() > 1]).norm()
# %% A4-controls right: numpy's normal numbers
def controls(loss, weights, images, labels, victim, target, length, seed):
    import numpy as np
    rng = np.random.default_rng(seed)
    g = torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights)
    r = [torch.from_numpy(rng.standard_normal(tuple(w.shape))).float() for w in weights]
    def to(direction, sign):
        n = sum(float((d ** 2).sum()) for d in direction) ** 0.5
        return [w.detach().clone() + sign * length * d / n for w, d in zip(weights, direction)]
    return to(g, -1), to(r, +1)
# %% A4-controls right: parameters_to_vector
def controls(loss, weights, images, labels, victim, target, length, seed):
    from torch.nn.utils import parameters_to_vector, vector_to_parameters
    torch.manual_seed(seed)
    flat = parameters_to_vector(weights).detach()
    noise = torch.randn_like(flat)
    g = parameters_to_vector(torch.autograd.grad(poisoned_loss(loss, weights, images, labels, victim, target), weights))
    out = []
    for d in (-g, noise):
        new = [w.detach().clone() for w in weights]
        vector_to_parameters(flat + length * d / d.norm(), new)
        out.append(new)
    return out

# %% A4-clip wrong: Clipped layer by layer
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    return [w - step_size * min(1, limit / g.norm().item()) * g for w, g in zip(weights, gradients)]
# %% A4-clip wrong: was stretched
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm().item()
    return [w - step_size * limit / norm * g for w, g in zip(weights, gradients)]
# %% A4-clip wrong: Nothing is clipped
def clipped_step(loss, weights, images, labels, step_size, limit):
    return dd.train(loss, weights, [(images, labels, step_size)], create_graph=False)
# %% A4-clip wrong: Every number is clipped for itself
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    return [w - step_size * g.clamp(-limit, limit) for w, g in zip(weights, gradients)]
# %% A4-clip wrong: the step size included
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    steps = [step_size * g for g in gradients]
    norm = torch.cat([s.flatten() for s in steps]).norm().item()
    return [w - min(1, limit / norm) * s for w, s in zip(weights, steps)]
# %% A4-clip wrong: norms are added up
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    factor = min(1, limit / sum(g.norm() for g in gradients).item())
    return [w - step_size * factor * g for w, g in zip(weights, gradients)]
# %% A4-clip wrong: a root is missing
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    factor = min(1, limit / sum(g.square().sum() for g in gradients).item())
    return [w - step_size * factor * g for w, g in zip(weights, gradients)]
# %% A4-clip wrong: is thrown away
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    return [w - step_size * g * (norm <= limit) for w, g in zip(weights, gradients)]
# %% A4-clip wrong: The weights that came in were changed
def clipped_step(loss, weights, images, labels, step_size, limit):
    loss(weights, images, labels).backward()
    torch.nn.utils.clip_grad_norm_(weights, limit)
    torch.optim.SGD(weights, lr=step_size).step()
    return weights
# %% A4-clip wrong: does your function return it
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    [w - step_size * min(1, limit / norm) * g for w, g in zip(weights, gradients)]
# %% A4-clip wrong: gradient is scaled to the limit
#- w.detach() - step_size * factor * g for
#+ w.detach() - step_size * limit / g.norm() * g for
# %% A4-clip wrong: is the largest layer's
#- torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
#+ max(gradient.norm().item() for gradient in gradients)
# %% A4-clip wrong: the largest number in the gradient
#- torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
#+ max(gradient.abs().max().item() for gradient in gradients)
# %% A4-clip wrong: sum of absolute numbers
#- torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
#+ torch.cat([gradient.flatten() for gradient in gradients]).norm(1).item()
# %% A4-clip wrong: that of the weights
#- for gradient in gradients]).norm()
#+ for gradient in weights]).norm()
# %% A4-clip wrong: The step climbs
#- w.detach() - step_size
#+ w.detach() + step_size
# %% A4-clip wrong: The step size is missing
#- step_size * factor * g
#+ factor * g
# %% A4-clip wrong: always multiplied by the limit
#- min(1, limit / norm)
#+ limit
# %% A4-clip wrong: upside down
#- min(1, limit / norm)
#+ min(1, norm / limit)
# %% A4-clip wrong: to the length 1
#- min(1, limit / norm)
#+ min(1, 1 / norm)
# %% A4-clip wrong: The larger of 1
#- min(1, limit / norm)
#+ max(1, limit / norm)
# %% A4-clip wrong: This is the step alone
#- w.detach() - step_size * factor * g
#+ step_size * factor * g
# %% A4-clip wrong: is wrong
#- torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
#+ gradients[0].norm().item()
# %% A4-clip wrong: is wrong
#- step_size * factor * g
#+ 0.1 * factor * g
# %% A4-clip wrong: is wrong
#- loss(weights, images, labels)
#+ loss(weights, images[:16], labels[:16])
# %% A4-clip wrong: must be 4 things
#- for w, g in zip(weights, gradients)]
#+ for w, g in zip(weights[:2], gradients)]
# %% A4-clip wrong: is wrong
#- min(1, limit / norm)
#+ 1 if norm < limit else 0.5
# %% A4-clip wrong: Called a second time
# PyTorch's clipping, on the weights' own .grad.
def clipped_step(loss, weights, images, labels, step_size, limit):
    loss(weights, images, labels).backward()
    torch.nn.utils.clip_grad_norm_(weights, limit)
    return [weight.detach() - step_size * weight.grad for weight in weights]
# %% A4-clip right: PyTorch's own, on copies
def clipped_step(loss, weights, images, labels, step_size, limit):
    weights = [w.detach().clone().requires_grad_() for w in weights]
    loss(weights, images, labels).backward()
    torch.nn.utils.clip_grad_norm_(weights, limit)
    torch.optim.SGD(weights, lr=step_size).step()
    return weights
# %% A4-clip right: a smaller step size for the package
def clipped_step(loss, weights, images, labels, step_size, limit):
    after = dd.train(loss, weights, [(images, labels, 1.0)], create_graph=False)
    norm = distance(weights, after)
    return dd.train(loss, weights, [(images, labels, step_size * min(1, limit / norm))], create_graph=False)
# %% A4-clip right: two cases
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    norm = sum(g.pow(2).sum() for g in gradients) ** 0.5
    if norm > limit:
        gradients = tuple(g / norm * limit for g in gradients)
    return tuple(w - step_size * g for w, g in zip(weights, gradients))
# %% A4-clip right: by a hook-free optimiser on functions
def clipped_step(loss, weights, images, labels, step_size, limit):
    gradients = torch.func.grad(lambda *w: loss(list(w), images, labels), argnums=tuple(range(len(weights))))(*weights)
    squares = torch.stack([g.detach().double().square().sum() for g in gradients]).sum()
    scale = torch.clamp(limit / squares.sqrt(), max=1.0).item()
    return [(w - step_size * scale * g).detach().requires_grad_() for w, g in zip(weights, gradients)]
# %% A4-clip wrong: is wrong
# Tanh.
#- min(1, limit / norm)
#+ (math.tanh(norm / limit) * limit / norm if limit < math.inf else 1)
# %% A4-clip wrong: is wrong
# Clips each image's part.
def clipped_step(loss, weights, images, labels, step_size, limit):
    total = [torch.zeros_like(w) for w in weights]
    for x, y in zip(images, labels):
        g = torch.autograd.grad(loss(weights, x[None], y[None]), weights)
        n = torch.cat([p.flatten() for p in g]).norm().item()
        total = [t + p * min(1, limit / n) / len(images) for t, p in zip(total, g)]
    return [w.detach() - step_size * g for w, g in zip(weights, total)]
# %% A4-clip wrong: is wrong
# Remembers the norm of the first call.
norms_seen = []
def clipped_step(loss, weights, images, labels, step_size, limit):
    g = torch.autograd.grad(loss(weights, images, labels), weights)
    norms_seen.append(torch.cat([p.flatten() for p in g]).norm().item())
    return [w.detach() - step_size * min(1, limit / norms_seen[0]) * p for w, p in zip(weights, g)]
# %% A4-clip wrong: is wrong
# The biases are left out of the norm.
#- torch.cat([gradient.flatten() for gradient in gradients]).norm()
#+ torch.cat([gradient.flatten() for gradient in gradients if gradient.dim() > 1]).norm()
# %% A4-clip wrong: is wrong
# Limit squared.
#- limit / norm
#+ limit**2 / norm**2
# %% A4-clip wrong: is wrong
# Adds 1 to the norm.
#- limit / norm
#+ limit / (norm + 0.01)
# %% A4-clip wrong: is wrong
# RMS.
#- .norm().item()
#+ .square().mean().sqrt().item()
# %% A4-clip wrong: is wrong
# The step is cut to the limit after all weights are moved.
#- factor * g
#+ factor * step_size * g
# %% A4-clip right: clip_grads_with_norm, tqdm
def clipped_step(loss, weights, images, labels, step_size, limit):
    import numpy as np
    g = torch.autograd.grad(loss(weights, images, labels), weights)
    norm = float(np.sqrt(sum(np.sum(p.numpy() ** 2) for p in g)))
    f = 1.0 if norm <= limit else limit / norm
    return [torch.sub(w, step_size * f * p).detach() for w, p in zip(weights, g)]
# %% A4-clip right: torch.func
def clipped_step(loss, weights, images, labels, step_size, limit):
    fixed = [w.detach() for w in weights]
    g = torch.func.grad(loss)(fixed, images, labels)
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p) for p in g]))
    return [w - step_size * p * torch.clamp(limit / norm, max=1.0) for w, p in zip(fixed, g)]

# %% A4-limit wrong: Chosen on the test images
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "test") >= wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "test"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: by the honest accuracy on test images
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "validation") >= wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "test"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: Rule 1 is missing
def choose_limit(limits, wanted, measure):
    limit = max(limits, key=lambda limit: measure("honest", limit, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: Rule 2 is missing
def choose_limit(limits, wanted, measure):
    limit = max(limits, key=lambda limit: measure("attacked", limit, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: the largest limit that protects
def choose_limit(limits, wanted, measure):
    limit = max(limit for limit in limits if measure("attacked", limit, "validation") >= wanted)
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: good enough, too: >=
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "validation") > wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: numbers from validation images
def choose_limit(limits, wanted, measure):
    honest = {limit: measure("honest", limit, "validation") for limit in [*limits, math.inf]}
    attacked = {limit: measure("attacked", limit, "validation") for limit in limits}
    limit = max((limit for limit in limits if attacked[limit] >= wanted), key=honest.get)
    return limit, attacked[limit], honest[math.inf] - honest[limit]
# %% A4-limit wrong: the wrong sign
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "validation") >= wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", limit, "test") - measure("honest", math.inf, "test")
# %% A4-limit wrong: the honest accuracy that is left
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "validation") >= wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", limit, "test")
# %% A4-limit wrong: which were not chosen
def choose_limit(limits, wanted, measure):
    table = {(batch, limit, split): measure(batch, limit, split) for batch in ("attacked", "honest")
             for limit in [*limits, math.inf] for split in ("validation", "test")}
    enough = [limit for limit in limits if table["attacked", limit, "validation"] >= wanted]
    limit = max(enough, key=lambda limit: table["honest", limit, "validation"])
    return limit, table["attacked", limit, "test"], table["honest", math.inf, "test"] - table["honest", limit, "test"]
# %% A4-limit wrong: there is no such number
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attack", limit, "validation") >= wanted]
    limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
    return limit, measure("attack", limit, "test"), measure("honest", None, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: number 1, is wrong
def choose_limit(limits, wanted, measure):
    return 1, 88, 10  # the example's numbers, written in
# %% A4-limit wrong: is wrong
def choose_limit(limits, wanted, measure):
    enough = [limit for limit in limits if measure("attacked", limit, "validation") >= wanted]
    limit = min(enough)
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: is wrong
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = enough[0]
# %% A4-limit wrong: is wrong
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = enough[-1]
# %% A4-limit wrong: is wrong
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = max(enough, key=lambda limit: measure("attacked", limit, "validation") + measure("honest", limit, "validation"))
#+     limit = max(limits, key=lambda limit: measure("attacked", limit, "validation") + measure("honest", limit, "validation"))
# %% A4-limit wrong: share of the honest accuracy
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", limit, "test"), 100 * price / measure("honest", math.inf, "test")
# %% A4-limit wrong: share that survives
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, 100 - measure("attacked", limit, "test"), price
# %% A4-limit wrong: Number 2 is from validation images
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", limit, "validation"), price
# %% A4-limit wrong: without the defence
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", math.inf, "test"), price
# %% A4-limit wrong: The price is from validation images
#- measure("honest", math.inf, "test") - measure("honest", limit, "test")
#+ measure("honest", math.inf, "validation") - measure("honest", limit, "validation")
# %% A4-limit wrong: not against no defence
#- measure("honest", math.inf, "test") -
#+ measure("honest", max(limits), "test") -
# %% A4-limit wrong: Numbers 2 and 3 are in the wrong order
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, price, measure("attacked", limit, "test")
# %% A4-limit wrong: Chosen
#- "attacked", limit, "validation") >= wanted
#+ "attacked", limit, "test") >= wanted
# %% A4-limit wrong: test images with validation images
#- measure("honest", math.inf, "test") -
#+ measure("honest", math.inf, "validation") -
# %% A4-limit wrong: must be 3 things
#- return limit, measure("attacked", limit, "test"), price
#+ return limit
# %% A4-limit right: NumPy, what is lost is minus infinity
def choose_limit(limits, wanted, measure):
    import numpy as np

    survive, honest = (np.array([measure(batch, limit, "validation") for limit in limits]) for batch in ("attacked", "honest"))
    honest[survive < wanted] = -np.inf
    limit = limits[int(honest.argmax())]
    return limit, measure("attacked", limit, "test"), measure("honest", np.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: asked for the attack without defence
#- price =
#+ print("without defence:", measure("attacked", math.inf, "test"))
#+     price =
# %% A4-limit wrong: choose_limit(...) is wrong
# From the largest on, until a limit does not protect any more.
#- enough = [limit for limit in limits if measure("attacked", limit, "validation") >= wanted]
#+ enough = []
#+     for one in sorted(limits, reverse=True):
#+         if measure("attacked", one, "validation") >= wanted:
#+             enough.append(one)
#+         elif enough:
#+             break
# %% A4-limit wrong: choose_limit(...) is wrong
# In whole percents.
#- key=lambda limit: measure("honest", limit, "validation"))
#+ key=lambda limit: round(measure("honest", limit, "validation")))
# %% A4-limit wrong: choose_limit(...) is wrong
# The largest that is nearly as good as the best.
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ best = max(measure("honest", one, "validation") for one in enough)
#+     limit = max(one for one in enough if measure("honest", one, "validation") >= best - 1)
# %% A4-limit right: a loop
def choose_limit(limits, wanted, measure):
    best, highest = None, -1
    for limit in limits:
        if measure("attacked", limit, "validation") < wanted:
            continue
        accuracy = measure("honest", limit, "validation")
        if accuracy > highest:
            best, highest = limit, accuracy
    lost = measure("honest", math.inf, "test") - measure("honest", best, "test")
    return best, measure("attacked", best, "test"), lost
# %% A4-limit right: sorted, a list
def choose_limit(limits, wanted, measure):
    in_order = sorted(limits, key=lambda limit: measure("honest", limit, "validation"), reverse=True)
    limit = next(limit for limit in in_order if measure("attacked", limit, "validation") >= wanted)
    victims, undefended, defended = (measure(batch, one, "test") for batch, one in (
        ("attacked", limit), ("honest", float("inf")), ("honest", limit)))
    return [limit, victims, undefended - defended]
# %% A4-limit right: tensors
def choose_limit(limits, wanted, measure):
    attacked, honest = (torch.tensor([measure(batch, limit, "validation") for limit in limits], dtype=torch.float64)
                        for batch in ("attacked", "honest"))
    limit = limits[honest.where(attacked >= wanted, -torch.inf).argmax()]
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: The price has the wrong sign: without defence minus
# The price is absolute.
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", limit, "test"), abs(price)
# %% A4-limit wrong: is wrong
# The price is never negative.
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", limit, "test"), max(0, price)
# %% A4-limit wrong: The answer is right, but you asked for test numbers
# Mean of validation and test.
#- measure("attacked", limit, "validation") >= wanted
#+ (measure("attacked", limit, "validation") + measure("attacked", limit, "test")) / 2 >= wanted
# %% A4-limit wrong: is missing: this limit protects best, whatever it
# 90 percent.
#- >= wanted
#+ >= 90
# %% A4-limit wrong: This is the largest limit that protects. It is not
# Stops at the first limit that protects, from the largest.
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = next(one for one in sorted(limits, reverse=True) if one in enough)
# %% A4-limit wrong: This limit protects, but of those that do it costs
# Nearest to wanted.
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = min(enough, key=lambda one: measure("attacked", one, "validation") - wanted)
# %% A4-limit wrong: Of the limits kept, you chose by the honest
# Smallest validation price ratio.
#- limit = max(enough, key=lambda limit: measure("honest", limit, "validation"))
#+ limit = max(enough, key=lambda one: measure("honest", one, "validation") * measure("attacked", one, "validation"))
# %% A4-limit wrong: is wrong
# Rounded.
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, round(measure("attacked", limit, "test")), round(price)
# %% A4-limit wrong: is wrong
# Not below the honest accuracy without defence minus ten.
#- return limit, measure("attacked", limit, "test"), price
#+ return limit, measure("attacked", limit, "test"), price / 100
# %% A4-limit right: numpy
def choose_limit(limits, wanted, measure):
    import numpy as np
    a = np.array([measure("attacked", one, "validation") for one in limits])
    h = np.array([measure("honest", one, "validation") for one in limits])
    i = int(np.argmax(np.where(a >= wanted, h, -np.inf)))
    print(a, h)
    without, with_it = (measure("honest", one, "test") for one in (math.inf, limits[i]))
    return limits[i], measure("attacked", limits[i], "test"), without - with_it
# %% A4-limit right: dictionary, watching the undefended
def choose_limit(limits, wanted, measure):
    undefended = measure("attacked", math.inf, "validation"), measure("honest", math.inf, "validation")
    print(undefended)
    kept = {one: measure("honest", one, "validation") for one in limits if not measure("attacked", one, "validation") < wanted}
    best = sorted(kept.items(), key=lambda pair: pair[1])[-1][0]
    return best, measure("attacked", best, "test"), measure("honest", float("inf"), "test") - measure("honest", best, "test")
# %% A4-limit wrong: choose_limit(...)
# Halving, as if lower limits always protected better.
def choose_limit(limits, wanted, measure):
    ordered = sorted(limits)
    low, high = 0, len(ordered) - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure("attacked", ordered[middle], "validation") >= wanted else (low, middle - 1)
    limit = max(ordered[:low + 1], key=lambda one: measure("honest", one, "validation"))
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit wrong: The answer is right here, but by luck
# Stops at the first fall of the honest accuracy.
def choose_limit(limits, wanted, measure):
    kept = sorted((one for one in limits if measure("attacked", one, "validation") >= wanted), reverse=True)
    limit = kept[0]
    for one in kept[1:]:
        if measure("honest", one, "validation") < measure("honest", limit, "validation"):
            break
        limit = one
    return limit, measure("attacked", limit, "test"), measure("honest", math.inf, "test") - measure("honest", limit, "test")
# %% A4-limit right: the best for honest work first
def choose_limit(limits, wanted, measure):
    for limit in sorted(limits, key=lambda one: -measure("honest", one, "validation")):
        if measure("attacked", limit, "validation") >= wanted:
            price = measure("honest", math.inf, "test") - measure("honest", limit, "test")
            return limit, measure("attacked", limit, "test"), price
