# %% A3-normalise wrong: of the pictures themselves
def normalised(pictures, target_train, source_train):
    levels = pictures / 255
    return (levels - levels.mean((0, 2, 3), keepdim=True)) / levels.std((0, 2, 3), keepdim=True)
# %% A3-normalise wrong: with its own mean and deviation
def normalised(pictures, target_train, source_train):
    return torch.stack([(picture - picture.mean()) / picture.std() for picture in pictures / 255])
# %% A3-normalise wrong: the source's statistics
def normalised(pictures, target_train, source_train):
    known = source_train / 255  # what the network grew up with
    return (pictures / 255 - known.mean((0, 2, 3), keepdim=True)) / known.std((0, 2, 3), keepdim=True)
# %% A3-normalise wrong: by the variance
def normalised(pictures, target_train, source_train):
    levels = target_train / 255
    return (pictures / 255 - levels.mean((0, 2, 3), keepdim=True)) / levels.var((0, 2, 3), keepdim=True)
# %% A3-normalise wrong: the pictures still run to 255
def normalised(pictures, target_train, source_train):
    levels = target_train / 255
    return (pictures - levels.mean((0, 2, 3), keepdim=True)) / levels.std((0, 2, 3), keepdim=True)
# %% A3-normalise wrong: the statistics are of bytes
def normalised(pictures, target_train, source_train):
    levels = target_train.float()
    return (pictures / 255 - levels.mean((0, 2, 3), keepdim=True)) / levels.std((0, 2, 3), keepdim=True)
# %% A3-normalise wrong: each channel has its own
def normalised(pictures, target_train, source_train):
    levels = target_train / 255
    return (pictures / 255 - levels.mean()) / levels.std()
# %% A3-normalise wrong: Each pixel is normalised by itself
def normalised(pictures, target_train, source_train):
    levels = target_train / 255
    return (pictures / 255 - levels.mean(0)) / levels.std(0)
# %% A3-normalise wrong: not normalised
def normalised(pictures, target_train, source_train):
    return pictures / 255
# %% A3-normalise wrong: is wrong
def normalised(pictures, target_train, source_train):
    return (pictures / 255 - 0.357809) / 0.246595  # the target's numbers, written in
# %% A3-normalise right: channel by channel
def normalised(pictures, target_train, source_train):
    seen = torch.empty(pictures.shape)
    for channel in range(pictures.shape[1]):
        levels = target_train[:, channel] / 255
        seen[:, channel] = (pictures[:, channel] / 255 - levels.mean()) / levels.std()
    return seen
# %% A3-normalise right: in bytes, dividing by N, in double precision
def normalised(pictures, target_train, source_train):
    levels = target_train.double()
    mean = levels.mean((0, 2, 3), keepdim=True)
    return (pictures - mean) / ((levels - mean) ** 2).mean((0, 2, 3), keepdim=True).sqrt()
# %% A3-normalise right: the package's
def normalised(pictures, target_train, source_train):
    levels = target_train.float() / 255
    return dd.data.normalise(pictures / 255, levels.mean((0, 2, 3)).tolist(), levels.std((0, 2, 3)).tolist())

# %% A3-pretrain wrong: train a copy.deepcopy of it
def pretrain(network, source, seed, epochs, batch_size):
    optimizer, generator = torch.optim.Adam(network.parameters(), lr=0.01), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for some in torch.randperm(len(source.train), generator=generator).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(network(source.train.images[some]), source.train.labels[some]).backward()
            optimizer.step()
    return network
# %% A3-pretrain wrong: does the optimiser hold the copy's weights
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained = copy.deepcopy(network)
    optimizer, generator = torch.optim.Adam(network.parameters(), lr=0.01), torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for some in torch.randperm(len(source.train), generator=generator).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(trained(source.train.images[some]), source.train.labels[some]).backward()
            optimizer.step()
    return trained
# %% A3-pretrain wrong: learned from images of the target
def pretrain(network, source, seed, epochs, batch_size):
    return dd.pretrain(network, target, seed, epochs=epochs, batch_size=batch_size, learning_rate=0.01)
# %% A3-pretrain wrong: learned from images of source.validation or source.test
def pretrain(network, source, seed, epochs, batch_size):
    more = replace(source.train, images=torch.cat([source.train.images, source.validation.images]),
                   labels=torch.cat([source.train.labels, source.validation.labels]))  # the more, the better?
    return dd.pretrain(network, replace(source, train=more), seed, epochs=epochs, batch_size=batch_size, learning_rate=0.01)
# %% A3-pretrain wrong: they are normalised already
def pretrain(network, source, seed, epochs, batch_size):
    again = replace(source.train, images=(source.train.images - source.mean[0]) / source.std[0])
    return dd.pretrain(network, replace(source, train=again), seed, epochs=epochs, batch_size=batch_size, learning_rate=0.01)
# %% A3-pretrain wrong: was asked for
def pretrain(network, source, seed, epochs, batch_size):
    return dd.pretrain(network, source, seed, epochs=epochs, batch_size=len(source.train), learning_rate=0.01)
# %% A3-pretrain wrong: Does it go through all epochs
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for _ in range(epochs):  # one batch each, not one epoch
        some = torch.randperm(len(source.train), generator=generator)[:batch_size]
        optimizer.zero_grad()
        F.cross_entropy(trained(source.train.images[some]), source.train.labels[some]).backward()
        optimizer.step()
    return trained
# %% A3-pretrain wrong: go through a permutation
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for _ in range(epochs):
        for some in torch.randint(len(source.train), (len(source.train),), generator=generator).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(trained(source.train.images[some]), source.train.labels[some]).backward()
            optimizer.step()
    return trained
# %% A3-pretrain wrong: in the order of the data
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained = copy.deepcopy(network)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for _ in range(epochs):
        for images, labels in zip(source.train.images.split(batch_size), source.train.labels.split(batch_size)):
            optimizer.zero_grad()
            F.cross_entropy(trained(images), labels).backward()
            optimizer.step()
    return trained
# %% A3-pretrain wrong: draw a new one in each
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained = copy.deepcopy(network)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for _ in range(epochs):
        for some in torch.randperm(len(source.train), generator=torch.Generator().manual_seed(seed)).split(batch_size):
            optimizer.zero_grad()
            F.cross_entropy(trained(source.train.images[some]), source.train.labels[some]).backward()
            optimizer.step()
    return trained
# %% A3-pretrain wrong: Do labels and images come in the same order
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained, generator = copy.deepcopy(network), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    for _ in range(epochs):
        images = source.train.images[torch.randperm(len(source.train), generator=generator)]
        for some, theirs in zip(images.split(batch_size), source.train.labels.split(batch_size)):
            optimizer.zero_grad()
            F.cross_entropy(trained(some), theirs).backward()
            optimizer.step()
    return trained
# %% A3-pretrain wrong: The same seed gave another order
def pretrain(network, source, seed, epochs, batch_size):
    return dd.pretrain(network, source, int(torch.randint(1000, ())), epochs=epochs, batch_size=batch_size,
                       learning_rate=0.01)
# %% A3-pretrain wrong: does `seed` play a part
def pretrain(network, source, seed, epochs, batch_size):
    return dd.pretrain(network, source, 0, epochs=epochs, batch_size=batch_size, learning_rate=0.01)
# %% A3-pretrain right: the package's
def pretrain(network, source, seed, epochs, batch_size):
    return dd.pretrain(network, source, seed, epochs=epochs, batch_size=batch_size, learning_rate=0.005)
# %% A3-pretrain right: SGD with momentum, a DataLoader
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    trained = copy.deepcopy(network).train()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(source.train.images, source.train.labels),
                                         batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            torch.nn.CrossEntropyLoss()(trained(images), labels).backward()
            optimizer.step()
    return trained
# %% A3-pretrain right: functions of weights, NumPy's order
def pretrain(network, source, seed, epochs, batch_size):
    import copy

    import numpy

    loss, weights, draws = dd.loss_of(network), dd.weights_of(network), numpy.random.default_rng(seed)
    for _ in range(epochs):
        order = torch.from_numpy(draws.permutation(len(source.train)))
        for start in range(0, len(order), batch_size):
            some = order[start:start + batch_size]
            gradients = torch.autograd.grad(loss(weights, source.train.images[some], source.train.labels[some]), weights)
            weights = [(w - 0.3 * g).detach().requires_grad_() for w, g in zip(weights, gradients)]
    return dd.unroll.with_weights(copy.deepcopy(network), weights)

# %% A3-gradient wrong: Only one network was used
def pool_gradient(pool, data, dset, which, number, first):
    [network] = pool.networks("training", 1, first)
    loss = dd.loss_of(network)
    value, gradients = dd.meta_gradient(loss, lambda w: loss(w, data.train.images[which], data.train.labels[which]),
                                        dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
    return value, gradients["images"], gradients["step_sizes"]
# %% A3-gradient wrong: divide by their number
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.networks("training", number, first):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, data.train.images[which], data.train.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return total
# %% A3-gradient wrong: The real batch is the source's
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.networks("training", number, first):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, pool.source.train.images[which], pool.source.train.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return [part / number for part in total]
# %% A3-gradient wrong: The real batch is of the validation images
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.networks("training", number, first):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, data.validation.images[which], data.validation.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return [part / number for part in total]
# %% A3-gradient wrong: Training starts at fresh weights
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.fresh.networks("training", number, first):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, data.train.images[which], data.train.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return [part / number for part in total]
# %% A3-gradient wrong: These are held-out networks
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.networks(number=number, first=first):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, data.train.images[which], data.train.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return [part / number for part in total]
# %% A3-gradient wrong: begin at `first`
def pool_gradient(pool, data, dset, which, number, first):
    total = 0, 0, 0
    for network in pool.networks("training", number):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(
            loss, lambda w, loss=loss: loss(w, data.train.images[which], data.train.labels[which]),
            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
        total = total[0] + value, total[1] + gradients["images"], total[2] + gradients["step_sizes"]
    return [part / number for part in total]
# %% A3-gradient wrong: The networks' weights are averaged
def pool_gradient(pool, data, dset, which, number, first):
    networks = list(pool.networks("training", number, first))
    loss = dd.loss_of(networks[0])
    mean = [sum(each) / number for each in zip(*map(dd.weights_of, networks))]
    value, gradients = dd.meta_gradient(
        loss, lambda w: loss(w, data.train.images[which], data.train.labels[which]),
        [w.detach().requires_grad_() for w in mean], dset.images, dset.labels, dset.step_sizes)
    return value, gradients["images"], gradients["step_sizes"]
# %% A3-gradient wrong: must be 3 things
def pool_gradient(pool, data, dset, which, number, first):
    [network] = pool.networks("training", 1, first)
    loss = dd.loss_of(network)
    return dd.meta_gradient(loss, lambda w: loss(w, data.train.images[which], data.train.labels[which]),
                            dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
# %% A3-gradient right: one graph for all networks
def pool_gradient(pool, data, dset, which, number, first):
    images, step_sizes = (tensor.clone().requires_grad_() for tensor in (dset.images, dset.step_sizes))
    values = []
    for network in pool.networks("training", number, first):
        loss, weights = dd.loss_of(network), dd.weights_of(network)
        for t, step_size in enumerate(step_sizes):
            gradients = torch.autograd.grad(loss(weights, images[t % dset.batches], dset.labels[t % dset.batches]), weights,
                                            create_graph=True)
            weights = [w - step_size * g for w, g in zip(weights, gradients)]
        values.append(loss(weights, data.train.images[which], data.train.labels[which]))
    value = torch.stack(values).mean()
    return value.detach(), *torch.autograd.grad(value, (images, step_sizes))
# %% A3-gradient right: the adjoint, a running mean
def pool_gradient(pool, data, dset, which, number, first):
    mean = None
    for k in range(number):
        network = pool.network("training", (first + k) % pool.size)
        loss = dd.loss_of(network)

        def goal_loss(weights, loss=loss):
            return loss(weights, data.train.images[which], data.train.labels[which])

        value, gradients = dd.adjoint.meta_gradient(loss, goal_loss, dd.weights_of(network), dset.images, dset.labels,
                                                    dset.step_sizes)
        parts = [value, gradients["images"], gradients["step_sizes"]]
        mean = parts if mean is None else [m + (p - m) / (k + 1) for m, p in zip(mean, parts)]
    return mean
# %% A3-gradient right: backward adds up
def pool_gradient(pool, data, dset, which, number, first):
    goal, value = dd.Fit(data), 0
    images, step_sizes = torch.nn.Parameter(dset.images.clone()), torch.nn.Parameter(dset.step_sizes.clone())
    steps = list(replace(dset, images=images, step_sizes=step_sizes).gradient_steps())
    for network in pool.networks("training", number, first):
        trained = dd.train(dd.loss_of(network), dd.weights_of(network), steps)
        part = goal.loss_of(network, data.train.images[which], data.train.labels[which])(trained) / number
        part.backward(retain_graph=True)
        value += part.item()
    return value, images.grad, step_sizes.grad

# %% A3-adapt wrong: training networks were used
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images.clone(), dset.step_sizes.clone()
    for _ in range(outer_steps):  # always networks 0 and 1
        now = replace(dset, images=images, step_sizes=step_sizes)
        _, by_images, by_sizes = pool_gradient(pool, data, now, torch.randint(len(data.train), (128,)), 2, 0)
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt wrong: of two networks
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images.clone(), dset.step_sizes.clone()
    for k in range(outer_steps):
        now = replace(dset, images=images, step_sizes=step_sizes)
        _, by_images, by_sizes = pool_gradient(pool, data, now, torch.randint(len(data.train), (128,)), 1, k)
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt wrong: Learning looks at the test images
def adapt(pool, data, dset, outer_steps):
    images, step_sizes, data = dset.images.clone(), dset.step_sizes.clone(), replace(data, train=data.test)
    for k in range(outer_steps):
        now, which = replace(dset, images=images, step_sizes=step_sizes), torch.randint(len(data.train.labels), (128,))
        _, by_images, by_sizes = pool_gradient(pool, data, now, which, 2, 2 * k)
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt wrong: Learning uses held-out networks
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images.clone(), dset.step_sizes.clone()
    for k in range(outer_steps):
        now = replace(dset, images=images, step_sizes=step_sizes)
        _, by_images, by_sizes = pool_gradient(pool, data, now, torch.randint(len(data.train), (128,)), 2, 2 * k)
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
        if dd.accuracy(now.train(pool.networks("held-out")[0]), data.validation) > 90:
            break
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt wrong: The step sizes have not moved
def adapt(pool, data, dset, outer_steps):
    images = dset.images.clone()
    for k in range(outer_steps):
        now = replace(dset, images=images)
        images = images - 0.05 * pool_gradient(pool, data, now, torch.randint(len(data.train), (128,)), 2, 2 * k)[1].sign()
    return replace(dset, images=images)
# %% A3-adapt wrong: Return a DistilledSet
def adapt(pool, data, dset, outer_steps):
    _, by_images, by_sizes = pool_gradient(pool, data, dset, torch.arange(128), 2, 0)
    return dset.images - by_images, dset.step_sizes - by_sizes
# %% A3-adapt wrong: The set that came in was changed
def adapt(pool, data, dset, outer_steps):
    for k in range(outer_steps):
        _, by_images, by_sizes = pool_gradient(pool, data, dset, torch.randint(len(data.train), (128,)), 2, 2 * k)
        dset.images.sub_(0.05 * by_images.sign())
        dset.step_sizes.sub_(0.01 * by_sizes.sign()).clamp_(0.001)
    return dset
# %% A3-adapt wrong: Nothing was learned
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images.clone(), dset.step_sizes.clone()
    for k in range(outer_steps):  # moves along the meta-gradient
        now = replace(dset, images=images, step_sizes=step_sizes)
        _, by_images, by_sizes = pool_gradient(pool, data, now, torch.randint(len(data.train), (128,)), 2, 2 * k)
        images, step_sizes = images + 0.01 * by_images.sign(), (step_sizes + 0.001 * by_sizes.sign()).clamp(0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt wrong: none of data.train
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images.clone(), dset.step_sizes.clone()
    for k in range(outer_steps):  # for the source, which the networks know
        now = replace(dset, images=images, step_sizes=step_sizes)
        _, by_images, by_sizes = pool_gradient(pool, pool.source, now, torch.randint(len(data.train), (128,)), 2, 2 * k)
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt right: the sign of the gradient
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = dset.images, dset.step_sizes
    for k in range(outer_steps):
        now, rate = replace(dset, images=images, step_sizes=step_sizes), 1.1 - k / outer_steps
        _, by_images, by_sizes = pool_gradient(pool, data, now, torch.randperm(len(data.train))[:128], 2, 2 * k)
        images = images - 0.1 * rate * by_images.sign()
        step_sizes = (step_sizes - 0.01 * rate * by_sizes.sign()).clamp(min=0.001)
    return replace(dset, images=images, step_sizes=step_sizes)
# %% A3-adapt right: two Adams, random networks, all in one function
def adapt(pool, data, dset, outer_steps):
    images, step_sizes = (torch.nn.Parameter(tensor.clone()) for tensor in (dset.images, dset.step_sizes))
    adams = torch.optim.Adam([images], lr=0.1), torch.optim.Adam([step_sizes], lr=0.01)
    for _ in range(outer_steps):
        which, value = torch.randint(0, len(data.train), [200]), 0
        steps = list(zip(images, dset.labels, step_sizes))
        for k in torch.randperm(pool.size)[:2].tolist():
            [network] = pool.networks("training", 1, k)
            loss = dd.loss_of(network)
            trained = dd.train(loss, dd.weights_of(network), steps)
            value = value + loss(trained, data.train.images[which], data.train.labels[which]) / 2
        for adam in adams:
            adam.zero_grad()
        value.backward()
        for adam in adams:
            adam.step()
        step_sizes.data.clamp_(0.001)
    return replace(dset, images=images.data, step_sizes=step_sizes.data)
# %% A3-adapt right: the package's
def adapt(pool, data, dset, outer_steps):
    *_, last = dd.distill(dset, pool, dd.Fit(data), outer_steps, networks=2, learning_rate=0.1, average=0,
                          validation_networks=1, batch_size=128)
    return last.distilled

# %% A3-compare wrong: You look at the test images to choose
def compare(learned, real, pool, data, sizes, passes, number):
    def mean(dset, role, split):
        return sum(dd.accuracy(dset.train(network), split) for network in pool.networks(role, number)) / number

    best = max((replace(real, step_sizes=torch.full((real.batches * k,), size)) for k in passes for size in sizes),
               key=lambda dset: mean(dset, "validation", data.test))
    none = sum(dd.accuracy(network, data.test) for network in pool.networks("held-out", number)) / number
    return none, mean(best, "held-out", data.test), mean(learned, "held-out", data.test)
# %% A3-compare wrong: You look at the held-out networks to choose
def compare(learned, real, pool, data, sizes, passes, number):
    def mean(dset, split):
        return sum(dd.accuracy(dset.train(network), split) for network in pool.networks("held-out", number)) / number

    best = max((replace(real, step_sizes=torch.full((real.batches * k,), size)) for k in passes for size in sizes),
               key=lambda dset: mean(dset, data.validation))
    return mean(replace(real, step_sizes=torch.zeros(3)), data.test), mean(best, data.test), mean(learned, data.test)
# %% A3-compare wrong: You look at the test images and the held-out networks
def compare(learned, real, pool, data, sizes, passes, number):
    def mean(dset):
        return sum(dd.accuracy(dset.train(network), data.test) for network in pool.networks("held-out", number)) / number

    tried = [mean(replace(real, step_sizes=torch.full((real.batches * k,), size))) for k in passes for size in sizes]
    return mean(replace(real, step_sizes=torch.zeros(3))), max(tried), mean(learned)
# %% A3-compare wrong: You look at the training networks to choose
def compare(learned, real, pool, data, sizes, passes, number):
    def mean(dset, role, split):
        return sum(dd.accuracy(dset.train(network), split) for network in pool.networks(role, number)) / number

    best = max((replace(real, step_sizes=torch.full((real.batches * k,), size)) for k in passes for size in sizes),
               key=lambda dset: mean(dset, "training", data.validation))
    return (mean(replace(real, step_sizes=torch.zeros(3)), "held-out", data.test), mean(best, "held-out", data.test),
            mean(learned, "held-out", data.test))
# %% A3-compare wrong: the learned images' step sizes
def compare(learned, real, pool, data, sizes, passes, number):
    networks = pool.networks("held-out", number)
    same = replace(real, step_sizes=learned.step_sizes)  # alike for both, and so fair?
    report = dd.evaluate(learned, networks, dd.Fit(data), data.test)
    return report.before, dd.evaluate(same, networks, dd.Fit(data), data.test).mean, report.mean
# %% A3-compare wrong: the step sizes that it came with
def compare(learned, real, pool, data, sizes, passes, number):
    networks = pool.networks("held-out", number)
    report = dd.evaluate(learned, networks, dd.Fit(data), data.test)
    return report.before, dd.evaluate(real, networks, dd.Fit(data), data.test).mean, report.mean
# %% A3-compare wrong: Only 3 passes are tried
def compare(learned, real, pool, data, sizes, passes, number):
    goal, networks = dd.Fit(data), pool.networks("held-out", number)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, networks=number)
    report = dd.evaluate(learned, networks, goal, data.test)
    return report.before, dd.evaluate(best, networks, goal, data.test).mean, report.mean
# %% A3-compare wrong: Only 5 passes are tried
def compare(learned, real, pool, data, sizes, passes, number):
    goal, networks = dd.Fit(data), pool.networks("held-out", number)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes[-1:], networks=number)
    report = dd.evaluate(learned, networks, goal, data.test)
    return report.before, dd.evaluate(best, networks, goal, data.test).mean, report.mean
# %% A3-compare wrong: report on held-out ones
def compare(learned, real, pool, data, sizes, passes, number):
    goal, networks = dd.Fit(data), pool.networks("training", number)  # those that the images were learned with
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes, networks=number)
    report = dd.evaluate(learned, networks, goal, data.test)
    return report.before, dd.evaluate(best, networks, goal, data.test).mean, report.mean
# %% A3-compare wrong: tested on the pool's training networks, the others on held-out
def compare(learned, real, pool, data, sizes, passes, number):
    goal = dd.Fit(data)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes, networks=number)
    report = dd.evaluate(best, pool.networks("held-out", number), goal, data.test)
    return report.before, report.mean, dd.evaluate(learned, pool.networks("training", number), goal, data.test).mean
# %% A3-compare wrong: report on the test images
def compare(learned, real, pool, data, sizes, passes, number):
    goal, networks = dd.Fit(data), pool.networks("held-out", number)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes, networks=number)
    report = dd.evaluate(learned, networks, goal, data.validation)
    return report.before, dd.evaluate(best, networks, goal, data.validation).mean, report.mean
# %% A3-compare wrong: number 3, is wrong
def compare(learned, real, pool, data, sizes, passes, number):
    goal = dd.Fit(data)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes, networks=number)
    report = dd.evaluate(best, pool.networks("held-out", number), goal, data.test)
    return report.before, report.mean, dd.evaluate(learned, pool.networks("held-out", number, number), goal, data.test).mean
# %% A3-compare wrong: is wrong
def compare(learned, real, pool, data, sizes, passes, number):
    return 30.6, 83.2, 87.1  # written in
# %% A3-compare right: the package's
def compare(learned, real, pool, data, sizes, passes, number):
    goal, networks = dd.Fit(data), pool.networks("held-out", number)
    best, _ = dd.baselines.with_best_step_size(real, pool, goal, sizes, passes, networks=number)
    report = dd.evaluate(learned, networks, goal, data.test)
    return report.before, dd.evaluate(best, networks, goal, data.test).mean, report.mean
# %% A3-compare right: torch.optim.SGD
def compare(learned, real, pool, data, sizes, passes, number):
    def score(role, split, dset, step_sizes):
        right = 0
        for network in pool.networks(role, number):
            optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
            for t, step_size in enumerate(step_sizes):
                optimizer.param_groups[0]["lr"] = float(step_size)
                optimizer.zero_grad()
                F.cross_entropy(network(dset.images[t % dset.batches]), dset.labels[t % dset.batches]).backward()
                optimizer.step()
            right += (network(split.images).argmax(1) == split.labels).float().mean().item()
        return 100 * right / number

    tried = [[size] * (real.batches * k) for k in passes for size in sizes]
    scores = [score("validation", data.validation, real, step_sizes) for step_sizes in tried]
    best = tried[scores.index(max(scores))]
    return [score("held-out", data.test, *row) for row in ((real, []), (real, best), (learned, learned.step_sizes))]
# %% A3-compare right: the passes in the outer loop, a tensor of scores
def compare(learned, real, pool, data, sizes, passes, number):
    goal, scores = dd.Fit(data), torch.zeros(len(passes), len(sizes))
    for row, k in enumerate(passes):
        for column, size in enumerate(sizes):
            for network in pool.networks("validation", number):
                steps = [step for _ in range(k) for step in zip(real.images, real.labels, [size] * real.batches)]
                weights = dd.train(dd.loss_of(network), dd.weights_of(network), steps, create_graph=False)
                scores[row, column] += goal.score(dd.unroll.with_weights(network, weights), data.validation)
    row, column = divmod(int(scores.argmax()), len(sizes))
    best = replace(real, step_sizes=torch.full((real.batches * passes[row],), sizes[column]))
    rows = torch.tensor([[dd.accuracy(network, data.test), dd.accuracy(best.train(network), data.test),
                          dd.accuracy(learned.train(network), data.test)] for network in pool.networks(number=number)])
    return tuple(rows.mean(0).tolist())
