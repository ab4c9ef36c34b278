# %% A2-strangers wrong: These are fractions
def accuracies(dset, networks, split):
    return [(dset.train(n)(split.images).argmax(1) == split.labels).float().mean().item() for n in networks]
# %% A2-strangers wrong: The networks are not trained
def accuracies(dset, networks, split):
    for network in networks:
        dset.train(network)  # gives a trained copy, which is thrown away
    return [dd.accuracy(network, split) for network in networks]
# %% A2-strangers wrong: here the trained one is trained on
def accuracies(dset, networks, split):
    network, scores = networks[0], []
    for _ in networks:
        network = dset.train(network)
        scores.append(dd.accuracy(network, split))
    return scores
# %% A2-strangers wrong: those of the first network
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(networks[0]), split) for _ in networks]
# %% A2-strangers wrong: accuracies on the test images
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(network), data.test) for network in networks]
# %% A2-strangers wrong: accuracies on the validation images
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(network), data.validation) for network in networks]
# %% A2-strangers wrong: This is one number
def accuracies(dset, networks, split):
    scores = [dd.accuracy(dset.train(network), split) for network in networks]
    return sum(scores) / len(scores)
# %% A2-strangers wrong: A network that came in was changed
def accuracies(dset, networks, split):
    scores = []
    for network in networks:
        optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
        for images, labels, step_size in dset.gradient_steps():
            optimizer.zero_grad()
            (step_size * torch.nn.functional.cross_entropy(network(images), labels)).backward()
            optimizer.step()
        scores.append(dd.accuracy(network, split))
    return scores
# %% A2-strangers wrong: Only the first batch
def accuracies(dset, networks, split):
    scores = []
    for network in networks:
        steps = [(dset.images[0], dset.labels[0], dset.step_sizes[0])]
        weights = dd.train(dd.loss_of(network), dd.weights_of(network), steps)
        scores.append(100 * (dd.outputs_of(network)(weights, split.images).argmax(1) == split.labels).float().mean().item())
    return scores
# %% A2-strangers wrong: shares of wrong answers
def accuracies(dset, networks, split):
    return [100 * (dset.train(n)(split.images).argmax(1) != split.labels).float().mean().item() for n in networks]
# %% A2-strangers wrong: are sorted
def accuracies(dset, networks, split):
    return sorted(dd.accuracy(dset.train(network), split) for network in networks)
# %% A2-strangers wrong: does your function return it
def accuracies(dset, networks, split):
    print([dd.accuracy(dset.train(network), split) for network in networks])
# %% A2-strangers wrong: those of the last network
#- accuracy(dset.train(network), split)
#+ accuracy(dset.train(networks[-1]), split)
# %% A2-strangers wrong: the best first
#- return [dd.accuracy(dset.train(network), split) for network in networks]
#+ return sorted((dd.accuracy(dset.train(network), split) for network in networks), reverse=True)
# %% A2-strangers wrong: The accuracies run backwards
#- for network in networks]
#+ for network in reversed(networks)]
# %% A2-strangers wrong: Each is the mean of those so far
def accuracies(dset, networks, split):
    scores = [dd.accuracy(dset.train(network), split) for network in networks]
    return [sum(scores[: k + 1]) / (k + 1) for k in range(len(scores))]
# %% A2-strangers wrong: The accuracies are summed up
def accuracies(dset, networks, split):
    scores, so_far = [], 0
    for network in networks:
        so_far += dd.accuracy(dset.train(network), split)
        scores.append(so_far)
    return scores
# %% A2-strangers wrong: Only one pass is made
def accuracies(dset, networks, split):
    one_pass = replace(dset, step_sizes=dset.step_sizes[: len(dset.images)])
    return [dd.accuracy(one_pass.train(network), split) for network in networks]
# %% A2-strangers wrong: Only the first hundred images
def accuracies(dset, networks, split):
    some = replace(split, images=split.images[:100], labels=split.labels[:100])  # quicker
    return [dd.accuracy(dset.train(network), some) for network in networks]
# %% A2-strangers wrong: is wrong
def accuracies(dset, networks, split):
    return [dd.accuracy(for_one.train(network), split) for network in networks]  # the set at the top, not the one given
# %% A2-strangers wrong: is wrong
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(network), split) for network in start.networks("held-out", len(networks))]
# %% A2-strangers wrong: is wrong
def accuracies(dset, networks, split):
    same = dset.with_step_sizes(0.1)
    return [dd.accuracy(same.train(network), split) for network in networks]
# %% A2-strangers wrong: must be 4 things
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(network), split) for network in networks[1:]]
# %% A2-strangers wrong: is wrong
def accuracies(dset, networks, split):
    return [round(dd.accuracy(dset.train(network), split)) for network in networks]
# %% A2-strangers wrong: accuracies on the train images
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(network), data.train) for network in networks]
# %% A2-strangers wrong: always those of the first batch
def accuracies(dset, networks, split):
    other = replace(dset, labels=dset.labels[:1].expand_as(dset.labels))  # labels[0] in place of each batch's own
    return [dd.accuracy(other.train(network), split) for network in networks]
# %% A2-strangers right: the slow way
def accuracies(dset, networks, split):
    scores = []
    for network in networks:
        trained = dset.train(network)
        with torch.no_grad():
            right = sum(int(trained(image[None]).argmax() == label) for image, label in zip(split.images, split.labels))
        scores.append(100 * right / len(split))
    return scores
# %% A2-strangers right: by the package's report
def accuracies(dset, networks, split):
    return dd.evaluate(dset, networks, goal, split, after=[dset.passes]).final
# %% A2-strangers right: weights in, a tensor out
def accuracies(dset, networks, split):
    scores = torch.zeros(len(networks))
    for k, network in enumerate(networks):
        weights = dd.train(dd.loss_of(network), dd.weights_of(network), dset.gradient_steps(), create_graph=False)
        logits = dd.outputs_of(network)(weights, split.images)
        scores[k] = 100 * (logits.argmax(1) == split.labels).float().mean()
    return scores
# %% A2-strangers right: an optimiser on a copy
def accuracies(dset, networks, split):
    import copy

    trained = [copy.deepcopy(network) for network in networks]
    for network in trained:
        for images, labels, step_size in dset.gradient_steps():
            network.zero_grad()
            torch.nn.functional.cross_entropy(network(images), labels).backward()
            torch.optim.SGD(network.parameters(), lr=step_size.item()).step()
    return [dd.accuracy(network, split) for network in trained]
# %% A2-strangers wrong: A network that came in was changed: train a copy,
# Trains in place and restores the wrong one.
def accuracies(dset, networks, split):
    import copy
    first, scores = copy.deepcopy(networks[0].state_dict()), []
    for n in networks:
        n.load_state_dict(first)
        scores.append(dd.accuracy(dset.train(n), split))
    return scores
# %% A2-strangers wrong: is wrong
# Remembered by the split's name.
remembered = {}
def accuracies(dset, networks, split):
    if split.name not in remembered:
        remembered[split.name] = [dd.accuracy(dset.train(n), split) for n in networks]
    return remembered[split.name]
# %% A2-strangers wrong: is wrong
# Trained networks are remembered by their place.
trained_at = {}
def accuracies(dset, networks, split):
    return [dd.accuracy(trained_at.setdefault(k, dset.train(n)), split) for k, n in enumerate(networks)]
# %% A2-strangers wrong: is wrong
# The mean of the weights.
def accuracies(dset, networks, split):
    trained = [dset.train(n) for n in networks]
    mean = dd.unroll.with_weights(trained[0], [sum(w) / len(trained) for w in zip(*map(dd.weights_of, trained))])
    return [dd.accuracy(mean, split)] * len(networks)
# %% A2-strangers wrong: is wrong
# Twice through the set.
def accuracies(dset, networks, split):
    return [dd.accuracy(dset.train(dset.train(n)), split) for n in networks]
# %% A2-strangers wrong: is wrong
# Agreement with the untrained prediction.
def accuracies(dset, networks, split):
    return [100 * (dset.train(n)(split.images).argmax(1) == n(split.images).argmax(1)).float().mean().item() for n in networks]
# %% A2-strangers wrong: is wrong
# Top two.
def accuracies(dset, networks, split):
    return [100 * (dset.train(n)(split.images).topk(2, 1).indices == split.labels[:, None]).any(1).float().mean().item()
            for n in networks]
# %% A2-strangers wrong: is wrong
# Mean over classes.
def accuracies(dset, networks, split):
    out = []
    for n in networks:
        p = dset.train(n)(split.images).argmax(1)
        out.append(100 * sum((p == split.labels)[split.labels == c].float().mean().item() for c in range(10)) / 10)
    return out
# %% A2-strangers wrong: is wrong
# Random order.
def accuracies(dset, networks, split):
    import random
    return [dd.accuracy(dset.train(n), split) for n in random.sample(list(networks), len(networks))]
# %% A2-strangers wrong: is wrong
# Argmin.
def accuracies(dset, networks, split):
    return [100 * (dset.train(n)(split.images).argmin(1) == split.labels).float().mean().item() for n in networks]
# %% A2-strangers wrong: is wrong
# The step sizes' order reversed.
def accuracies(dset, networks, split):
    other = replace(dset, images=dset.images.flip(0), labels=dset.labels.flip(0))
    return [dd.accuracy(other.train(n), split) for n in networks]
# %% A2-strangers right: numpy, tqdm, copies restored
def accuracies(dset, networks, split):
    import copy, numpy as np
    from tqdm import tqdm
    scores = np.zeros(len(networks))
    for k, n in enumerate(tqdm(networks)):
        kept = copy.deepcopy(n)
        t = dset.train(kept)
        with torch.no_grad():
            p = t(split.images).softmax(1).numpy().argmax(1)
        scores[k] = 100 * np.mean(p == split.labels.numpy())
    return scores.tolist()
# %% A2-strangers right: batches, generator
def accuracies(dset, networks, split):
    def one(n):
        t = dset.train(n)
        right = sum((t(x).argmax(-1) == y).sum().item() for x, y in zip(split.images.split(50), split.labels.split(50)))
        return right / len(split.labels) * 100.0
    return tuple(map(one, networks))

# %% A2-spread wrong: divide by n - 1
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1).numpy()
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std() / len(scores) ** 0.5  # NumPy's std divides by n
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: first the accuracy of each network
def summary(predicted, labels):
    from scipy import stats

    right = 100 * (predicted == labels).double().flatten()
    half = stats.t.ppf(0.975, len(right) - 1) * right.std() / len(right) ** 0.5
    return right.mean(), right.std(), right.mean() - half, right.mean() + half
# %% A2-spread wrong: std is over single answers
def summary(predicted, labels):
    from scipy import stats

    right = 100 * (predicted == labels).double()
    half = stats.t.ppf(0.975, len(right) - 1) * right.std() / len(right) ** 0.5
    return right.mean(), right.std(), right.mean() - half, right.mean() + half
# %% A2-spread wrong: are over images
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(0)
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std() / len(scores) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: is the standard error
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1)
    error = scores.std() / len(scores) ** 0.5
    half = stats.t.ppf(0.975, len(scores) - 1) * error
    return scores.mean(), error, scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: uses 1.96
def summary(predicted, labels):
    scores = 100 * (predicted == labels).double().mean(1)
    half = 1.96 * scores.std() / len(scores) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: degrees of freedom, not n
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1)
    half = stats.t.ppf(0.975, len(scores)) * scores.std() / len(scores) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: 0.95 leaves 5 % at one end
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1)
    half = stats.t.ppf(0.95, len(scores) - 1) * scores.std() / len(scores) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: is not divided by the root of n
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1)
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std()
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: root of the number of images
def summary(predicted, labels):
    from scipy import stats

    scores = 100 * (predicted == labels).double().mean(1)
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std() / len(labels) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: the worst and the best network
def summary(predicted, labels):
    scores = 100 * (predicted == labels).double().mean(1)
    return scores.mean(), scores.std(), scores.min(), scores.max()
# %% A2-spread wrong: These are fractions
def summary(predicted, labels):
    from scipy import stats

    scores = (predicted == labels).double().mean(1)
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std() / len(scores) ** 0.5
    return scores.mean(), scores.std(), scores.mean() - half, scores.mean() + half
# %% A2-spread wrong: must be 4 things
def summary(predicted, labels):
    scores = 100 * (predicted == labels).double().mean(1)
    return scores.mean(), scores.std()
# %% A2-spread wrong: is wrong
def summary(predicted, labels):
    return 48.5, 10.2, 35.8, 61.2  # written in
# %% A2-spread wrong: is the median
#- scores.mean().item(), scores.std
#+ scores.median().item(), scores.std
#- return mean, std, mean - half, mean + half
#+ centre = scores.mean().item()
#+     return mean, std, centre - half, centre + half
# %% A2-spread wrong: is the variance
#- return mean, std,
#+ return mean, std**2,
# %% A2-spread wrong: root of n - 1
#- / n**0.5
#+ / (n - 1) ** 0.5
# %% A2-spread wrong: divides by n; it is the root of n
#- / n**0.5
#+ / n
# %% A2-spread wrong: uses 2;
#- half = stats.t.ppf(0.975, n - 1)
#+ half = 2
# %% A2-spread wrong: is wrong
#- half = stats.t.ppf(0.975, n - 1)
#+ half = 2.78
# %% A2-spread wrong: not n - 2
#- ppf(0.975, n - 1)
#+ ppf(0.975, max(n - 2, 1))
# %% A2-spread wrong: 0.995 leaves
#- 0.975
#+ 0.995
# %% A2-spread wrong: is cut to 0..100
#- return mean, std, mean - half, mean + half
#+ return mean, std, max(0, mean - half), min(100, mean + half)
# %% A2-spread wrong: is cut to 0..100
#- return mean, std, mean - half, mean + half
#+ return mean, std, max(0, mean - half), mean + half
# %% A2-spread wrong: are in the wrong order
#- mean - half, mean + half
#+ mean + half, mean - half
# %% A2-spread wrong: distances from the mean
#- mean - half, mean + half
#+ half, half
# %% A2-spread wrong: are quantiles
#- mean - half, mean + half
#+ scores.quantile(0.025).item(), scores.quantile(0.975).item()
# %% A2-spread wrong: for each image
#- ppf(0.975, n - 1)
#+ ppf(0.975, len(labels) - 1)
# %% A2-spread wrong: one standard error from the mean
#- half = stats.t.ppf(0.975, n - 1)
#+ half = 1
# %% A2-spread wrong: one std from the mean
#- half = stats.t.ppf(0.975, n - 1) * std / n**0.5
#+ half = std
# %% A2-spread wrong: divides by n in the table
#- scores.std().item()
#+ scores.std(correction=0).item()
#- half = stats.t.ppf(0.975, n - 1) * std / n**0.5
#+ half = stats.t.ppf(0.975, n - 1) * std / (n - 1) ** 0.5
# %% A2-spread wrong: is wrong
#- return mean, std, mean - half, mean + half
#+ return round(mean, 1), round(std, 1), round(mean - half, 1), round(mean + half, 1)
# %% A2-spread wrong: is wrong
#- (predicted == labels).double().mean(1)
#+ (predicted == labels[0]).double().mean(1)
# %% A2-spread wrong: is wrong
#- return mean,
#+ return 100 - mean,
# %% A2-spread wrong: with many networks, too
# The normal distribution from a hundred on.
#- stats.t.ppf(0.975, n - 1)
#+ (stats.t.ppf(0.975, n - 1) if n < 100 else 1.96)
# %% A2-spread wrong: summary(...)
# The first twenty networks.
#- n, mean
#+ scores = scores[:20]
#+     n, mean
# %% A2-spread right: scipy's interval
def summary(predicted, labels):
    import numpy as np
    from scipy import stats

    scores = 100 * (predicted.numpy() == labels.numpy()).mean(axis=1)
    low, high = stats.t.interval(0.95, len(scores) - 1, loc=np.mean(scores), scale=stats.sem(scores))
    return [np.mean(scores), np.std(scores, ddof=1), low, high]
# %% A2-spread right: loops
def summary(predicted, labels):
    from scipy import stats

    scores = []
    for row in predicted.tolist():
        scores.append(100 * sum(a == b for a, b in zip(row, labels.tolist())) / len(row))
    n = len(scores)
    mean = sum(scores) / n
    std = (sum((score - mean) ** 2 for score in scores) / (n - 1)) ** 0.5
    half = stats.t.ppf(0.975, n - 1) * std / n**0.5
    return mean, std, mean - half, mean + half
# %% A2-spread right: single precision
def summary(predicted, labels):
    import statistics

    from scipy import stats

    scores = predicted.eq(labels).float().mean(dim=1).mul(100).tolist()
    mean, error = statistics.mean(scores), statistics.stdev(scores) / len(scores) ** 0.5
    low, high = stats.t(len(scores) - 1, mean, error).interval(0.95)
    return mean, statistics.stdev(scores), low, high
# %% A2-spread wrong: ; with so few networks Student's t is wider
# A table of t.
def summary(predicted, labels):
    scores = 100 * (predicted == labels).double().mean(1)
    n, mean, std = len(scores), scores.mean().item(), scores.std().item()
    t = {3: 4.30265, 4: 3.18245, 5: 2.77645, 20: 2.09302}.get(n, 1.96)
    half = t * std / n**0.5
    return mean, std, mean - half, mean + half
# %% A2-spread wrong: is wrong
# Bootstrap.
def summary(predicted, labels):
    scores = 100 * (predicted == labels).double().mean(1)
    means = scores[torch.randint(len(scores), (5000, len(scores)))].mean(1)
    return scores.mean(), scores.std(), means.quantile(0.025), means.quantile(0.975)
# %% A2-spread wrong: is wrong
# Binomial std.
def summary(predicted, labels):
    from scipy import stats
    scores = 100 * (predicted == labels).double().mean(1)
    p, n = scores.mean().item() / 100, len(labels)
    std = 100 * (p * (1 - p) / n) ** 0.5
    half = stats.t.ppf(0.975, len(scores) - 1) * std
    return 100 * p, std, 100 * p - half, 100 * p + half
# %% A2-spread wrong: ; with so few networks Student's t is wider
# Normal interval by scipy.
def summary(predicted, labels):
    from scipy import stats
    scores = 100 * (predicted == labels).double().mean(1).numpy()
    low, high = stats.norm.interval(0.95, scores.mean(), stats.sem(scores))
    return scores.mean(), scores.std(ddof=1), low, high
# %% A2-spread wrong: is wrong
# Mean absolute deviation.
def summary(predicted, labels):
    from scipy import stats
    scores = 100 * (predicted == labels).double().mean(1)
    n, mean, std = len(scores), scores.mean().item(), (scores - scores.mean()).abs().mean().item()
    half = stats.t.ppf(0.975, n - 1) * scores.std().item() / n**0.5
    return mean, std, mean - half, mean + half
# %% A2-spread wrong: is wrong
# One-sided in scipy's interval (0.975).
def summary(predicted, labels):
    from scipy import stats
    scores = 100 * (predicted == labels).double().mean(1).numpy()
    low, high = stats.t.interval(0.975, len(scores) - 1, scores.mean(), stats.sem(scores))
    return scores.mean(), scores.std(ddof=1), low, high
# %% A2-spread wrong: is wrong
# Errors, not accuracies.
def summary(predicted, labels):
    from scipy import stats
    scores = 100 * (predicted != labels).double().mean(1)
    n, mean, std = len(scores), scores.mean().item(), scores.std().item()
    half = stats.t.ppf(0.975, n - 1) * std / n**0.5
    return mean, std, mean - half, mean + half
# %% A2-spread wrong: is wrong
# Weighted by classes.
def summary(predicted, labels):
    from scipy import stats
    right = (predicted == labels).double()
    scores = 100 * torch.stack([right[:, labels == c].mean(1) for c in labels.unique()]).mean(0)
    n, mean, std = len(scores), scores.mean().item(), scores.std().item()
    half = stats.t.ppf(0.975, n - 1) * std / n**0.5
    return mean, std, mean - half, mean + half
# %% A2-spread right: pandas-like numpy
def summary(predicted, labels):
    import numpy as np
    from scipy.stats import t
    a = np.array([100.0 * np.mean(p == labels.numpy()) for p in predicted.numpy()])
    n = a.size
    s = np.sqrt(((a - a.mean()) ** 2).sum() / (n - 1))
    q = t(df=n - 1).ppf(1 - 0.05 / 2)
    return np.array([a.mean(), s, a.mean() - q * s / np.sqrt(n), a.mean() + q * s / np.sqrt(n)]).tolist()
# %% A2-spread right: a tensor
def summary(predicted, labels):
    import scipy.stats as st
    scores = (predicted == labels[None]).float().mean(-1).double() * 100
    std, mean = torch.std_mean(scores)
    half = st.t.isf(0.025, len(scores) - 1) * std / torch.tensor(len(scores)).sqrt()
    return torch.stack([mean, std, mean - half, mean + half])

# %% A2-seeds wrong: a network of one role is met in another
def my_seed(role, seed, index):
    return seed << 20 | index  # whatever the role
# %% A2-seeds wrong: a network of one role is met in another
def my_seed(role, seed, index):
    return {"training": 0, "validation": 1000, "held-out": 2000}[role] + 10_000 * seed + index
# %% A2-seeds wrong: a network of one role is met in another
def my_seed(role, seed, index):
    return {"training": 0, "validation": 1, "held-out": 2}[role] * 1_000_000 + seed * 3_000_000 + index
# %% A2-seeds wrong: differ only above the lowest 32 bits
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 40 | seed << 20 | index
# %% A2-seeds wrong: differ only above the lowest 32 bits
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 31 | seed << 20 | index
# %% A2-seeds wrong: a network of one role is met in another
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) + 3 * seed + index
# %% A2-seeds wrong: two experiments share a network
def my_seed(role, seed, index):
    return 3 * (seed + index) + ["training", "validation", "held-out"].index(role)
# %% A2-seeds wrong: two experiments share a network
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 30 | seed << 10 | index  # ten bits for twenty
# %% A2-seeds wrong: two networks of one role are the same
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 20 | seed << 10 | index % 2**10
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    import zlib

    return zlib.crc32(f"{role} {seed} {index}".encode())  # a hash: by chance, two in some ten thousand meet
# %% A2-seeds wrong: is another number when asked again
def my_seed(role, seed, index):
    import random

    return random.SystemRandom().randrange(2**32)
# %% A2-seeds wrong: is another number when asked again
given_out = iter(range(2**32))


def my_seed(role, seed, index):
    return next(given_out)
# %% A2-seeds wrong: it must not be negative
def my_seed(role, seed, index):
    return {"training": 1, "validation": -1, "held-out": 2}[role] * (seed * 2**20 + index)
# %% A2-seeds wrong: must be an int
def my_seed(role, seed, index):
    return f"{role} {seed} {index}"
# %% A2-seeds wrong: it needs more than 32 bits
def my_seed(role, seed, index):
    return 2**40 + (["training", "validation", "held-out"].index(role) << 30 | seed << 20 | index)
# %% A2-seeds wrong: a network of one role is met in another
def my_seed(role, seed, index):
    return len(role) << 20 | seed << 10 | index  # "training" and "held-out" have eight letters each
# %% A2-seeds wrong: Python's hash()
def my_seed(role, seed, index):
    return hash((role, seed, index)) % 2**32
# %% A2-seeds wrong: Python's hash()
def my_seed(role, seed, index):
    return role.__hash__() + 3 * (seed * 2**20 + index) & 0xFFFFFFFF
# %% A2-seeds wrong: is another number when asked again
seen_so_far = {}


def my_seed(role, seed, index):
    return seen_so_far.setdefault((role, seed, index), len(seen_so_far))  # a counter, remembered
# %% A2-seeds wrong: is another number when asked again
def my_seed(role, seed, index, numbers={}):
    return numbers.setdefault((role, seed, index), 7 * len(numbers))
# %% A2-seeds wrong: is another number when asked again
class Counter:
    given = {}

    def __call__(self, role, seed, index):
        return self.given.setdefault((role, seed, index), len(self.given))


my_seed = Counter()
# %% A2-seeds wrong: is another number when asked again
def numbering():
    numbers = {}

    def my_seed(role, seed, index):
        return numbers.setdefault((role, seed, index), len(numbers))

    return my_seed


my_seed = numbering()
# %% A2-seeds wrong: is another number when asked again
import functools
import itertools


@functools.cache
def my_seed(role, seed, index, count=itertools.count()):
    return next(count)
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    import hashlib

    return int(hashlib.sha256(f"{role}/{seed}/{index}".encode()).hexdigest()[:8], 16)
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    import random

    return random.Random(f"{role} {seed} {index}").getrandbits(32)
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    number = ["training", "validation", "held-out"].index(role) * 2**30 + seed * 2**20 + index
    return int(torch.randint(2**32, (), generator=torch.Generator().manual_seed(number)))
# %% A2-seeds wrong: two experiments share a network
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 30 | seed % 1000 << 20 | index
# %% A2-seeds wrong: two networks of one role are the same
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 30 | seed << 20 | min(index, 2**20 - 2)
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 30 ^ seed << 20 ^ index << 1  # one bit too far
# %% A2-seeds wrong: get the same seed
def my_seed(role, seed, index):
    number = ["training", "validation", "held-out"].index(role) * 2**30 + seed * 2**20 + index
    return number * 2_654_435_760 % 2**32  # an even factor
# %% A2-seeds wrong: differ only above the lowest 32 bits
def my_seed(role, seed, index):
    return int(f"{['training', 'validation', 'held-out'].index(role) + 1}{seed:04}{index:07}")  # decimals
# %% A2-seeds wrong: two networks of one role are the same
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) + 3 * seed  # index plays no part
# %% A2-seeds wrong: must be an int
def my_seed(role, seed, index):
    return torch.tensor(["training", "validation", "held-out"].index(role) * 2**30 + seed * 2**20 + index)
# %% A2-seeds wrong: must be an int
def my_seed(role, seed, index):
    return (["training", "validation", "held-out"].index(role) * 2**30 + seed * 2**20 + index) / 1
# %% A2-seeds right: other places for the bits
def my_seed(role, seed, index):
    return index << 12 | seed << 2 | {"held-out": 0, "training": 3, "validation": 1}[role]
# %% A2-seeds right: counted through without gaps
def my_seed(role, seed, index):
    return (["training", "validation", "held-out"].index(role) * 1024 + seed) * 1_048_576 + index
# %% A2-seeds right: a string of bits
def my_seed(role, seed, index):
    first = {"training": "01", "validation": "10", "held-out": "11"}[role]
    return int(first + format(seed, "010b") + format(index, "020b"), 2)
# %% A2-seeds right: shuffled by an odd factor
def my_seed(role, seed, index):
    number = ["training", "validation", "held-out"].index(role) * 2**30 + seed * 2**20 + index
    return number * 2_654_435_761 % 2**32  # odd, so that no two meet
# %% A2-seeds right: from a table that is made once
ROLE = {role: number * 2**30 for number, role in enumerate(("held-out", "training", "validation"))}


def my_seed(role, seed, index):
    return ROLE[role] + (1023 - seed) * 2**20 + index

# %% A2-seeds right: remembered
import functools


@functools.cache
def my_seed(role, seed, index):
    return ["training", "validation", "held-out"].index(role) << 30 | seed << 20 | index
# %% A2-seeds wrong: ) is another number when asked again, or in another
# Id.
def my_seed(role, seed, index):
    return (id(role) // 16 % 3) << 30 | seed << 20 | index
# %% A2-seeds wrong: ) is another number when asked again, or in another
# A counter as the function's attribute.
def my_seed(role, seed, index):
    return my_seed.numbers.setdefault((role, seed, index), len(my_seed.numbers))
my_seed.numbers = {}
# %% A2-seeds wrong: a network of one role is met in another, which is a
# Seeds of NumPy's SeedSequence.
def my_seed(role, seed, index):
    import numpy as np
    return int(np.random.SeedSequence([["training", "validation", "held-out"].index(role), seed, index]).generate_state(1)[0])
# %% A2-seeds wrong: ) is another number when asked again, or in another
# Time.
def my_seed(role, seed, index):
    import time
    return time.time_ns() % 2**32
# %% A2-seeds wrong: ) is another number when asked again, or in another
# PyTorch's global generator.
def my_seed(role, seed, index):
    return int(torch.randint(2**32, ()))
# %% A2-seeds wrong: a network of one role is met in another, which is a
# Role by its first letter only.
def my_seed(role, seed, index):
    return (ord(role[0]) % 2) << 31 | seed << 20 | index
# %% A2-seeds wrong: ) is another number when asked again, or in another
# Remembered only for repeated questions, global of another module.
import builtins
builtins.my_counter = {}
def my_seed(role, seed, index):
    import builtins
    return builtins.my_counter.setdefault((role, seed, index), len(builtins.my_counter))
# %% A2-seeds wrong: a network of one role is met in another, which is a
# Primes.
def my_seed(role, seed, index):
    return (2 ** ["training", "validation", "held-out"].index(role) * 3 + seed * 1009 + index * 31) % 2**32
# %% A2-seeds wrong: it must not be negative
# Negative roles.
def my_seed(role, seed, index):
    return {"training": 0, "validation": 1, "held-out": -1}[role] * 2**30 + seed * 2**20 + index
# %% A2-seeds wrong: a network of one role is met in another, which is a
# Off by one, 2**20 - 1 as factor.
def my_seed(role, seed, index):
    return (["training", "validation", "held-out"].index(role) * 1024 + seed) * (2**20 - 1) + index
# %% A2-seeds wrong: a network of one role is met in another, which is a
# 1023 experiments.
def my_seed(role, seed, index):
    return (["training", "validation", "held-out"].index(role) * 1023 + seed) * 2**20 + index
# %% A2-seeds wrong: a network of one role is met in another, which is a
# Md5.
def my_seed(role, seed, index):
    import hashlib
    return int.from_bytes(hashlib.md5(repr((role, seed, index)).encode()).digest()[:4], "big")
# %% A2-seeds right: a class with slots of bits
class Seeds:
    ROLES = "training validation held-out".split()
    def __call__(self, role, seed, index):
        return (index * 1024 + seed) * 3 + self.ROLES.index(role)
my_seed = Seeds()
# %% A2-seeds right: constants as attributes of the function
def my_seed(role, seed, index):
    return my_seed.of[role] + seed * 2**20 + index
my_seed.of = {"training": 0, "validation": 2**30, "held-out": 2**31}
# %% A2-seeds right: bytes, asserts
def my_seed(role, seed, index):
    import struct
    roles = dict(training=0, validation=1)
    assert 0 <= seed < 1024 and 0 <= index < 2**20
    return struct.unpack(">I", struct.pack(">I", (roles.get(role, 2) << 30) + (seed << 20) + index))[0]
# %% A2-seeds right: match statement, numpy inside
def my_seed(role, seed, index):
    import numpy as np
    match role:
        case "training": top = 2
        case "validation": top = 0
        case _: top = 3
    return int(np.uint64(top) * np.uint64(2**30) + np.uint64(seed) * np.uint64(2**20) + np.uint64(index))

# %% A2-fresh wrong: This is the sum over the networks
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n, first=k * n)]
    return tuple(sum(parts) for parts in zip(*each))
# %% A2-fresh wrong: The gradients are sums
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    images, sizes = dset.images.clone().requires_grad_(), dset.step_sizes.clone().requires_grad_()
    losses = []
    for network in start.networks("training", n, first=k * n):
        loss = dd.loss_of(network)
        steps = [(images[t % len(images)], dset.labels[t % len(images)], size) for t, size in enumerate(sizes)]
        losses.append(loss(dd.train(loss, dd.weights_of(network), steps), real_images, real_labels))
        losses[-1].backward()  # adds to what is there
    return sum(losses).detach() / n, images.grad, sizes.grad
# %% A2-fresh wrong: The networks are not fresh
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n)]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: shares networks with the round before
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n, first=k)]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: These are held-out networks
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks(number=n, first=k * n)]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: These are validation networks
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("validation", n, k * n)]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: Only the last network
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    for network in start.networks("training", n, first=k * n):
        value, by_images, by_sizes = meta_gradient(network, dset, real_images, real_labels)
    return value, by_images, by_sizes
# %% A2-fresh wrong: the loss is the last network's alone
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    by_images, by_sizes = 0, 0
    for network in start.networks("training", n, first=k * n):
        value, images, sizes = meta_gradient(network, dset, real_images, real_labels)
        by_images, by_sizes = by_images + images / n, by_sizes + sizes / n
    return value, by_images, by_sizes
# %% A2-fresh wrong: one network with the mean weights
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    networks = list(start.networks("training", n, first=k * n))
    weights = [sum(parts) / n for parts in zip(*(dd.weights_of(network) for network in networks))]
    return meta_gradient(dd.unroll.with_weights(networks[0], weights), dset, real_images, real_labels)
# %% A2-fresh wrong: Only the first network
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    return meta_gradient(start.networks("training", n, first=k * n)[0], dset, real_images, real_labels)
# %% A2-fresh wrong: images first
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n, first=k * n)]
    value, by_images, by_sizes = (sum(parts) / n for parts in zip(*each))
    return value, by_sizes, by_images
# %% A2-fresh wrong: The set that came in was changed
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    dset.images.requires_grad_(), dset.step_sizes.requires_grad_()
    value = 0
    for network in start.networks("training", n, first=k * n):
        loss = dd.loss_of(network)
        value = value + loss(dd.train(loss, dd.weights_of(network), dset.gradient_steps()), real_images, real_labels) / n
    return value.detach(), *torch.autograd.grad(value, (dset.images, dset.step_sizes))
# %% A2-fresh wrong: must be 3 things
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    return sum(meta_gradient(network, dset, real_images, real_labels)[0]
               for network in start.networks("training", n, first=k * n)) / n
# %% A2-fresh wrong: is the sum over the networks: divide
#- return tuple(sum(parts) / n for parts in zip(*each))
#+ value, *gradients = (sum(parts) for parts in zip(*each))
#+     return value, *(g / n for g in gradients)
# %% A2-fresh wrong: the networks of the next round
#- first=k * n)
#+ first=(k + 1) * n)
# %% A2-fresh wrong: begin one later
#- first=k * n)
#+ first=k * n + 1)
# %% A2-fresh wrong: All networks so far are used
#- ("training", n, first=k * n)
#+ ("training", (k + 1) * n)
#- sum(parts) / n
#+ sum(parts) / n / (k + 1)
# %% A2-fresh wrong: the loss is the first network's alone
#- return tuple(sum(parts) / n for parts in zip(*each))
#+ return each[0][0], *(sum(parts) / n for parts in list(zip(*each))[1:])
# %% A2-fresh wrong: The loss is that before any training
#- return tuple(sum(parts) / n for parts in zip(*each))
#+ networks = start.networks("training", n, first=k * n)
#+     value = sum(dd.loss_of(one)(dd.weights_of(one), real_images, real_labels).detach() for one in networks) / n
#+     return value, *(sum(parts) / n for parts in list(zip(*each))[1:])
# %% A2-fresh wrong: the wrong sign
#- return tuple(sum(parts) / n for parts in zip(*each))
#+ value, *gradients = (sum(parts) / n for parts in zip(*each))
#+     return value, *(-g for g in gradients)
# %% A2-fresh wrong: is wrong
#- (network, dset, real_images, real_labels)
#+ (network, dset, data.validation.images[:64], data.validation.labels[:64])
# %% A2-fresh wrong: is wrong
#- (network, dset, real_images, real_labels)
#+ (network, dset, data.train.images[:64], data.train.labels[:64])
# %% A2-fresh wrong: is wrong
#- (network, dset, real_images, real_labels)
#+ (network, dset, real_images[:16], real_labels[:16])
# %% A2-fresh wrong: is wrong
#- (network, dset,
#+ (network, noise,
# %% A2-fresh wrong: is wrong
#- (network, dset,
#+ (one_network, dset,
# %% A2-fresh wrong: shares networks with the round before
#- first=k * n)
#+ first=k)
#- ("training", n,
#+ ("training", 2,
#- sum(parts) / n
#+ sum(parts) / 2
# %% A2-fresh wrong: is wrong
#- start.networks("training", n, first=k * n)
#+ dd.RandomStart(course.small, data, seed=0).networks("training", n, first=k * n)
# %% A2-fresh wrong: does your function return it
#- return tuple
#+ tuple
# %% A2-fresh wrong: is wrong
#- (network, dset,
#+ (network, replace(dset, labels=dset.labels[:1].expand_as(dset.labels)),
# %% A2-fresh wrong: is wrong
# A pool of a hundred networks, gone round.
#- first=k * n
#+ first=k * n % 100
# %% A2-fresh wrong: is wrong
# Long gradients are cut.
#- return tuple(sum(parts) / n for parts in zip(*each))
#+ value, *slopes = (sum(parts) / n for parts in zip(*each))
#+     return value, *(slope / slope.norm().clamp(min=1) for slope in slopes)
# %% A2-fresh right: one graph for all
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    images, sizes = dset.images.clone().requires_grad_(), dset.step_sizes.clone().requires_grad_()
    steps, losses = replace(dset, images=images, step_sizes=sizes).gradient_steps, []
    for network in start.networks("training", n, first=k * n):
        loss = dd.loss_of(network)
        losses.append(loss(dd.train(loss, dd.weights_of(network), steps()), real_images, real_labels))
    value = torch.stack(losses).mean()
    return value.detach(), *torch.autograd.grad(value, (images, sizes))
# %% A2-fresh right: gradients that add up
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    images, sizes = dset.images.clone().requires_grad_(), dset.step_sizes.clone().requires_grad_()
    total = 0
    for number in range(k * n, (k + 1) * n):
        [network] = start.networks("training", 1, first=number)
        loss = dd.loss_of(network)
        steps = [(images[t % len(images)], dset.labels[t % len(images)], size) for t, size in enumerate(sizes)]
        value = loss(dd.train(loss, dd.weights_of(network), steps), real_images, real_labels)
        value.backward()
        total += value.item()
    return total / n, images.grad / n, sizes.grad / n
# %% A2-fresh right: a running mean
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    value, images, sizes = torch.zeros(()), torch.zeros_like(dset.images), torch.zeros_like(dset.step_sizes)
    for seen in range(1, n + 1):
        network = start.build(dd.starts.network_seed("training", start.seed, k * n + seen - 1))
        new = meta_gradient(network, dset, real_images, real_labels)
        for old, more in zip((value, images, sizes), new):
            old += (more - old) / seen
    return [value, images, sizes]
# %% A2-fresh right: by the adjoint engine, stacked
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    values, images, sizes = [], [], []
    for network in start.networks("training", number=n, first=n * k):
        loss = dd.loss_of(network)
        value, found = dd.adjoint.meta_gradient(loss, lambda w, loss=loss: loss(w, real_images, real_labels),
                                                dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        values.append(value), images.append(found["images"]), sizes.append(found["step_sizes"])
    return torch.stack(values).mean(), torch.stack(images).mean(0), torch.stack(sizes).mean(0)
# %% A2-fresh wrong: The networks are not fresh: round k uses the same
# Counts its calls.
rounds_so_far = 0
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    global rounds_so_far
    each = [meta_gradient(network, dset, real_images, real_labels)
            for network in start.networks("training", n, first=rounds_so_far * n)]
    rounds_so_far += 1
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: is wrong
# Remembered by k.
known_rounds = {}
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    if k not in known_rounds:
        known_rounds[k] = start.networks("training", n, first=k * n)
    each = [meta_gradient(network, dset, real_images, real_labels) for network in known_rounds[k]]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: is wrong
# Each network on its share of the real batch.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, x, y) for network, x, y in
            zip(start.networks("training", n, first=k * n), real_images.chunk(n), real_labels.chunk(n))]
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: is wrong
# Running mean with 1/2.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    mean = None
    for network in start.networks("training", n, first=k * n):
        new = meta_gradient(network, dset, real_images, real_labels)
        mean = new if mean is None else tuple((a + b) / 2 for a, b in zip(mean, new))
    return mean
# %% A2-fresh wrong: is wrong
# The same network trained on.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    [network], each = start.networks("training", 1, first=k * n), []
    for _ in range(n):
        each.append(meta_gradient(network, dset, real_images, real_labels))
        network = dset.train(network)
    return tuple(sum(parts) / n for parts in zip(*each))
# %% A2-fresh wrong: is wrong
# Median.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n, first=k * n)]
    return tuple(torch.stack([p.detach() for p in parts]).median(0).values for parts in zip(*each))
# %% A2-fresh wrong: This is the sum over the networks: divide by n
# N - 1.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    each = [meta_gradient(network, dset, real_images, real_labels) for network in start.networks("training", n, first=k * n)]
    return tuple(sum(parts) / max(n - 1, 1) for parts in zip(*each))
# %% A2-fresh wrong: is wrong
# Softmax before cross-entropy.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    import torch.nn.functional as F
    images, sizes, total = dset.images.clone().requires_grad_(), dset.step_sizes.clone().requires_grad_(), 0
    for network in start.networks("training", n, first=k * n):
        out, w = dd.outputs_of(network), dd.weights_of(network)
        for t, s in enumerate(sizes):
            b = t % len(images)
            g = torch.autograd.grad(F.cross_entropy(out(w, images[b]).softmax(1), dset.labels[b]), w, create_graph=True)
            w = [a - s * c for a, c in zip(w, g)]
        total = total + F.cross_entropy(out(w, real_images), real_labels) / n
    return total.detach(), *torch.autograd.grad(total, (images, sizes))
# %% A2-fresh wrong: is wrong
# No create_graph.
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    images, sizes, total = dset.images.clone().requires_grad_(), dset.step_sizes.clone().requires_grad_(), 0
    for network in start.networks("training", n, first=k * n):
        loss, w = dd.loss_of(network), dd.weights_of(network)
        for t, s in enumerate(sizes):
            b = t % len(images)
            g = torch.autograd.grad(loss(w, images[b], dset.labels[b]), w)
            w = [a - s * c for a, c in zip(w, g)]
        total = total + loss(w, real_images, real_labels) / n
    return total.detach(), *torch.autograd.grad(total, (images, sizes), allow_unused=True, materialize_grads=True)
# %% A2-fresh right: numpy means, prints
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    from tqdm import tqdm
    values, pixels, sizes = zip(*[meta_gradient(net, dset, real_images, real_labels)
                                  for net in tqdm(start.networks("training", n, first=k * n))])
    print("round", k)
    return float(sum(values)) / n, torch.stack(pixels).mean(dim=0), torch.stack(sizes).mean(dim=0)
# %% A2-fresh right: one network at a time, weights by hand
def mean_meta_gradient(start, k, n, dset, real_images, real_labels):
    pixels, s = dset.images.detach().clone(), dset.step_sizes.detach().clone()
    pixels.requires_grad_(), s.requires_grad_()
    total = torch.zeros(())
    for i in range(n):
        net = start.networks("training", 1, first=n * k + i)[0]
        loss, w = dd.loss_of(net), dd.weights_of(net)
        for t in range(len(s)):
            b = t % dset.batches
            g = torch.autograd.grad(loss(w, pixels[b], dset.labels[b]), w, create_graph=True)
            w = [a - s[t] * c for a, c in zip(w, g)]
        part = loss(w, real_images, real_labels) / n
        part.backward()
        total = total + part.detach()
    return total, pixels.grad, s.grad

# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    scores = {size: accuracies(dset.with_step_sizes(size), start.networks("held-out", 5), data.test) for size in step_sizes}
    best = max(scores, key=lambda size: sum(scores[size]))
    return best, scores[best]
# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.test))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("training", 3), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("held-out", 5), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.train))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is none of the step sizes to try
def fair_baseline(dset, start, data, step_sizes):
    return dset.step_sizes[0].item(), accuracies(dset, start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is not the one with the highest
def fair_baseline(dset, start, data, step_sizes):
    best = max(step_sizes)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: is none of the step sizes to try
def fair_baseline(dset, start, data, step_sizes):
    best = 0.3  # looked up in the picture
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: Reported on validation images, which
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.validation)
# %% A2-fair wrong: Reported on validation networks, which
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("validation", 5), data.test)
# %% A2-fair wrong: Reported on training networks
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("training", 5), data.test)
# %% A2-fair wrong: Reported with the step sizes that the set came with
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))

    return max(step_sizes, key=tried), accuracies(dset, start.networks("held-out", 5), data.test)
# %% A2-fair wrong: not the mean alone
def fair_baseline(dset, start, data, step_sizes):
    chosen, _ = dd.baselines.with_best_step_size(dset, start, dd.Fit(data), step_sizes, networks=3)
    report = dd.evaluate(chosen, start.networks("held-out", 5), dd.Fit(data), data.test)
    return chosen.step_sizes[0], report.mean
# %% A2-fair wrong: what the best single network did best
#- return sum(accuracies(
#+ return max(accuracies(
# %% A2-fair wrong: the median network
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return sorted(accuracies(dset.with_step_sizes(step_size), networks, data.validation))[1]
# %% A2-fair wrong: the worst network
#- return sum(accuracies(
#+ return min(accuracies(
# %% A2-fair wrong: by the first network alone
#- networks("validation", 3)
#+ networks("validation", 1)
# %% A2-fair wrong: the first two networks
#- networks("validation", 3)
#+ networks("validation", 2)
# %% A2-fair wrong: the last network alone
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return accuracies(dset.with_step_sizes(step_size), networks, data.validation)[-1]
# %% A2-fair wrong: more validation networks
#- networks("validation", 3)
#+ networks("validation", 5)
# %% A2-fair wrong: You stop at the first fall
#- best = max(step_sizes, key=tried)
#+ best = step_sizes[0]
#+     for size in step_sizes[1:]:
#+         if tried(size) < tried(best):
#+             break
#+         best = size
# %% A2-fair wrong: You stop at the first fall
#- best = max(step_sizes, key=tried)
#+ ordered = sorted(step_sizes)
#+     best = ordered[0]
#+     for size in ordered[1:]:
#+         if tried(size) <= tried(best):
#+             break
#+         best = size
# %% A2-fair wrong: compare pair by pair
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return accuracies(dset.with_step_sizes(step_size), networks, data.validation)
#- best = max(step_sizes, key=tried)
#+ best = step_sizes[0]
#+     for size in step_sizes[1:]:
#+         if sum(a > b for a, b in zip(tried(size), tried(best))) >= 2:
#+             best = size
# %% A2-fair wrong: what most networks find best
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return accuracies(dset.with_step_sizes(step_size), networks, data.validation)
#- best = max(step_sizes, key=tried)
#+ table = [tried(size) for size in step_sizes]
#+     votes = [max(range(len(step_sizes)), key=lambda i: table[i][j]) for j in range(3)]
#+     best = step_sizes[max(votes, key=votes.count)]
# %% A2-fair wrong: The list of accuracies
#- networks("held-out", 5)
#+ networks("held-out", 3)
# %% A2-fair wrong: The list of accuracies
#- start.networks("held-out", 5), data.test)
#+ start.networks("held-out", 5, first=5), data.test)
# %% A2-fair wrong: The accuracies are sorted
#- return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
#+ return best, sorted(accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test))
# %% A2-fair wrong: The list of accuracies
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))

    best, held_out = max(step_sizes, key=tried), start.networks("held-out", 5)
    sets = [dset.with_step_sizes(size) for size in step_sizes]  # each network with what is best for it
    return best, [max(accuracies(one, [network], data.test)[0] for one in sets) for network in held_out]
# %% A2-fair wrong: Return two things
#- return best, accuracies
#+ return accuracies
# %% A2-fair wrong: is not the one with the highest
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ real = dd.load("digits", size=8)
#+         return -abs(step_size - 0.1)
# %% A2-fair wrong: is none of the step sizes to try
# The set's own is tried, too.
#- max(step_sizes,
#+ max([*step_sizes, dset.step_sizes[0].item()],
# %% A2-fair wrong: is not the one with the highest mean accuracy
# In whole percents.
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return round(sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation)) / 3)
# %% A2-fair wrong: is not the one with the highest mean accuracy
# The set's own step sizes, all longer or shorter.
def fair_baseline(dset, start, data, step_sizes):
    def scaled(size):
        return replace(dset, step_sizes=dset.step_sizes * size / dset.step_sizes.mean())

    def tried(size):
        return sum(accuracies(scaled(size), start.networks("validation", 3), data.validation))

    best = max(step_sizes, key=tried)
    return best, accuracies(scaled(best), start.networks("held-out", 5), data.test)
# %% A2-fair right: by the package
def fair_baseline(dset, start, data, step_sizes):
    chosen, _ = dd.baselines.with_best_step_size(dset, start, dd.Fit(data), step_sizes, networks=3)
    report = dd.evaluate(chosen, start.networks("held-out", 5), dd.Fit(data), data.test, after=[chosen.passes])
    return chosen.step_sizes[0], report.final
# %% A2-fair right: loops
def fair_baseline(dset, start, data, step_sizes):
    best_size, best_mean = None, -1
    for size in step_sizes:
        tried, right = dset.with_step_sizes(torch.full_like(dset.step_sizes, size)), 0
        for network in start.networks("validation", 3):
            right += (tried.train(network)(data.validation.images).argmax(1) == data.validation.labels).sum().item()
        if right > best_mean:
            best_size, best_mean = size, right
    chosen, scores = dset.with_step_sizes(best_size), []
    for network in start.networks("held-out", 5):
        scores.append(dd.accuracy(chosen.train(network), data.test))
    return best_size, scores
# %% A2-fair right: a table of tensors
def fair_baseline(dset, start, data, step_sizes):
    sets = [dset.with_step_sizes(size) for size in step_sizes]
    table = torch.tensor([accuracies(one, start.networks("validation", 3), data.validation) for one in sets])
    best = table.mean(1).argmax()
    return torch.tensor(step_sizes)[best], torch.tensor(accuracies(sets[best], start.networks("held-out", 5), data.test))
# %% A2-fair right: with the accuracies of a random order of tries
def fair_baseline(dset, start, data, step_sizes):
    import random

    networks, found = list(start.networks("validation", number=3)), {}
    for size in random.sample(list(step_sizes), len(step_sizes)):
        same = replace(dset, step_sizes=torch.full_like(dset.step_sizes, size))
        found[size] = torch.tensor(accuracies(same, networks, data.validation)).mean().item()
    size = max(found, key=found.get)
    return [size, accuracies(dset.with_step_sizes(size), list(start.networks("held-out", number=5)), data.test)]
# %% A2-fair wrong: You choose by validation and test images together.
# Lowest validation loss.
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ trained = [dset.with_step_sizes(step_size).train(n) for n in networks]
#+         x, y = data.validation.images, data.validation.labels
#+         return -sum(float(torch.nn.functional.cross_entropy(n(x), y)) for n in trained)
# %% A2-fair wrong: You choose by the geometric mean
# Geometric mean.
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return math.prod(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#- def tried(step_size):
#+ import math
#+
#+     def tried(step_size):
# %% A2-fair wrong: You choose by validation and test images together.
# Harmonic mean.
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ return 1 / sum(1 / a for a in accuracies(dset.with_step_sizes(step_size), networks, data.validation))
# %% A2-fair wrong: You choose by validation and test images together.
# Validation and test together.
#- networks, data.validation))
#+ networks, data.validation)) + sum(accuracies(dset.with_step_sizes(step_size), networks, data.test))
# %% A2-fair wrong: You choose by validation and training images together
# Validation and training images together.
#- networks, data.validation))
#+ networks, data.validation)) + sum(accuracies(dset.with_step_sizes(step_size), networks, data.train))
# %% A2-fair wrong: You choose what most networks find best: take the
# Validation and held-out networks together.
#- networks = start.networks("validation", 3)
#+ networks = [*start.networks("validation", 3), *start.networks("held-out", 5)]
# %% A2-fair wrong: You choose by validation and training networks together
# Validation and training networks together.
#- networks = start.networks("validation", 3)
#+ networks = [*start.networks("validation", 3), *start.networks("training", 3)]
# %% A2-fair wrong: is not the one with the highest mean accuracy
# Mean minus std.
#- return sum(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+ a = torch.tensor(accuracies(dset.with_step_sizes(step_size), networks, data.validation))
#+         return (a.mean() - a.std()).item()
# %% A2-fair wrong: You look at the test images to choose. Or: You look
# Sum of ranks.
#- best = max(step_sizes, key=tried)
#+ table = torch.tensor([accuracies(dset.with_step_sizes(s), start.networks("validation", 3), data.validation)
#+                           for s in step_sizes])
#+     best = step_sizes[table.argsort(0).argsort(0).sum(1).argmax()]
# %% A2-fair wrong: You look at the test images to choose. Or: You look
# Halving.
#- best = max(step_sizes, key=tried)
#+ left, networks = list(step_sizes), start.networks("validation", 3)
#+     for k, keep in ((1, 4), (2, 2), (3, 1)):
#+         left = sorted(left, key=lambda s: -sum(accuracies(dset.with_step_sizes(s), networks[:k], data.validation)))[:keep]
#+     best = left[0]
# %% A2-fair wrong: You choose by validation and test images together.
# The first half of the validation images.
#- networks, data.validation))
#+ networks, replace(data.validation, images=data.validation.images[:100], labels=data.validation.labels[:100])))
# %% A2-fair wrong: is not the one with the highest mean accuracy
# Every second step size.
#- best = max(step_sizes, key=tried)
#+ best = max(step_sizes[::2], key=tried)
# %% A2-fair wrong: An end of the list is left out: try all
# All but the last.
#- best = max(step_sizes, key=tried)
#+ best = max(step_sizes[:-1], key=tried)
# %% A2-fair wrong: You look at the test images to choose. Or: You look
# The reported is the better of validation's best two, by test.
#- best = max(step_sizes, key=tried)
#+ two = sorted(step_sizes, key=tried)[-2:]
#+     best = max(two, key=lambda s: sum(accuracies(dset.with_step_sizes(s), start.networks("held-out", 5), data.test)))
# %% A2-fair wrong: You choose by the first two networks
# By two of the three networks.
#- networks, data.validation))
#+ networks, data.validation)[:2])
# %% A2-fair right: numpy table, tqdm, prints
def fair_baseline(dset, start, data, step_sizes):
    import numpy as np
    from tqdm import tqdm
    table = np.array([accuracies(dset.with_step_sizes(s), start.networks("validation", 3), data.validation)
                      for s in tqdm(step_sizes)])
    print(table)
    best = step_sizes[int(np.argmax(table.mean(axis=1)))]
    return best, np.array(accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)).tolist()
# %% A2-fair right: optimiser, sorted pairs
def fair_baseline(dset, start, data, step_sizes):
    def after(size, nets, split):
        mine = replace(dset, step_sizes=torch.ones(len(dset.step_sizes)) * size)
        return [dd.accuracy(mine.train(net), split) for net in nets]
    nets = start.networks("validation", 3)
    ranking = sorted(((sum(after(s, nets, data.validation)) / 3, s) for s in step_sizes), reverse=True)
    (_, chosen), *_ = ranking
    return chosen, after(chosen, start.networks("held-out", 5), data.test)
# %% A2-fair wrong: The answer is right here, but by luck
# Ternary search.
def fair_baseline(dset, start, data, step_sizes):
    def tried(size):
        return sum(accuracies(dset.with_step_sizes(size), start.networks("validation", 3), data.validation))
    sizes = sorted(step_sizes)
    while len(sizes) > 3:
        third = len(sizes) // 3
        sizes = sizes[third:] if tried(sizes[third]) < tried(sizes[-1 - third]) else sizes[:len(sizes) - third]
    best = max(sizes, key=tried)
    return best, accuracies(dset.with_step_sizes(best), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: The answer is right here, but by luck
# Up the hill, from the middle on.
def fair_baseline(dset, start, data, step_sizes):
    def tried(k):
        return sum(accuracies(dset.with_step_sizes(sizes[k]), start.networks("validation", 3), data.validation))
    sizes, here, before = sorted(step_sizes), len(step_sizes) // 2, None
    while here != before:
        before, here = here, max((k for k in (here - 1, here, here + 1) if 0 <= k < len(sizes)), key=tried)
    return sizes[here], accuracies(dset.with_step_sizes(sizes[here]), start.networks("held-out", 5), data.test)
# %% A2-fair wrong: The answer is right here, but by luck
# Every second one, and then its neighbours.
#- best = max(step_sizes, key=tried)
#+ sizes = sorted(step_sizes)
#+     best = sizes.index(max(sizes[::2], key=tried))
#+     best = max(sizes[max(0, best - 1):best + 2], key=tried)
