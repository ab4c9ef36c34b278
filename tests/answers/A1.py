# %% A1-hand wrong: Both derivatives have the wrong sign
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    outer = 2 * (w1 - wanted)
    return w1, outer * eta * (4 * w * x - 2 * y), outer * 2 * x * (w * x - y)
# %% A1-hand wrong: dG/deta has the wrong sign
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    outer = 2 * (w1 - wanted)
    return w1, -outer * eta * (4 * w * x - 2 * y), outer * 2 * x * (w * x - y)
# %% A1-hand wrong: use the product rule
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    outer = 2 * (w1 - wanted)
    return w1, -outer * eta * 2 * (w * x - y), -outer * 2 * x * (w * x - y)
# %% A1-hand wrong: The chain rule wants
def by_hand(w, x, y, eta, wanted):
    return w - eta * 2 * x * (w * x - y), -eta * (4 * w * x - 2 * y), -2 * x * (w * x - y)
# %% A1-hand wrong: in the wrong order
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    outer = 2 * (w1 - wanted)
    return w1, -outer * 2 * x * (w * x - y), -outer * eta * (4 * w * x - 2 * y)
# %% A1-hand wrong: A factor 2 is missing
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    return w1, -(w1 - wanted) * eta * (4 * w * x - 2 * y), -(w1 - wanted) * 2 * x * (w * x - y)
# %% A1-hand wrong: is wrong
def by_hand(w, x, y, eta, wanted):
    return 0.6, -0.12, -0.8  # notebook 1's numbers, written in
# %% A1-hand wrong: does your function return it
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
# %% A1-hand right: multiplied out
def by_hand(w, x, y, eta, wanted):
    w1 = w - 2 * eta * w * x**2 + 2 * eta * x * y
    return w1, (w1 - wanted) * (4 * eta * y - 8 * eta * w * x), (w1 - wanted) * (4 * x * y - 4 * w * x**2)
# %% A1-hand right: with the gradient named
def by_hand(w, x, y, eta, wanted):
    error = w * x - y
    gradient = 2 * x * error
    gradient_of_gradient = 2 * error + 2 * x * w
    w1 = w - eta * gradient
    return [w1, 2 * (w1 - wanted) * (-eta) * gradient_of_gradient, 2 * (w1 - wanted) * (-gradient)]
# %% A1-hand right: as a tensor
def by_hand(w, x, y, eta, wanted):
    gradient = torch.tensor(2 * x * (w * x - y), dtype=torch.float64)
    outer = 2 * (w - eta * gradient - wanted)
    return w - eta * gradient, -outer * eta * (4 * w * x - 2 * y), -outer * gradient

# %% A1-step wrong: This step climbs
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w + step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: is it detached
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size.item() * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: needs create_graph=True
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: were changed
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    for w, g in zip(weights, gradients):
        w.data -= step_size.detach() * g.detach()
    return weights
# %% A1-step wrong: the gradient alone
def step(loss, weights, images, labels, step_size):
    return list(torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True))
# %% A1-step wrong: The step size is missing
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - g for w, g in zip(weights, gradients)]
# %% A1-step wrong: a mean over the images already
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels) * len(images), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step right: number by number
def step(loss, weights, images, labels, step_size):
    value, new = loss(weights, images, labels), []
    for w in weights:
        [g] = torch.autograd.grad(value, w, create_graph=True)
        new.append(w - step_size * g)
    return new
# %% A1-step right: torch.func
def step(loss, weights, images, labels, step_size):
    gradients = torch.func.grad(lambda weights: loss(weights, images, labels))(tuple(weights))
    return tuple(w.sub(step_size * g) for w, g in zip(weights, gradients))
# %% A1-step right: one weight after the other
def step(loss, weights, images, labels, step_size):
    value = loss(weights, images, labels)
    gradients = list(torch.autograd.grad(outputs=[value], inputs=list(weights), create_graph=True))
    new = []
    while gradients:
        new.append(weights[len(new)] + gradients.pop(0) * -step_size)
    return new
# %% A1-step wrong: Write it yourself
def step(loss, weights, images, labels, step_size):
    return dd.train(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: with respect to the old weights
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w.detach() - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: used under no_grad
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    with torch.no_grad():
        return [w - step_size * g for w, g in zip(weights, gradients)]

# %% A1-train wrong: not 0, 0, 1, 1
def train(loss, weights, images, labels, step_sizes):
    passes = len(step_sizes) // len(images)
    for t, step_size in enumerate(step_sizes):
        weights = step(loss, weights, images[t // passes], labels[t // passes], step_size)
    return weights
# %% A1-train wrong: Only the first batch
def train(loss, weights, images, labels, step_sizes):
    for step_size in step_sizes:
        weights = step(loss, weights, images[0], labels[0], step_size)
    return weights
# %% A1-train wrong: Only one pass
def train(loss, weights, images, labels, step_sizes):
    for some, theirs, step_size in zip(images, labels, step_sizes):
        weights = step(loss, weights, some, theirs, step_size)
    return weights
# %% A1-train wrong: the first step size
def train(loss, weights, images, labels, step_sizes):
    for t in range(len(step_sizes)):
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_sizes[0])
    return weights
# %% A1-train wrong: hand the new ones on
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        new = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_size)
    return new
# %% A1-train wrong: The last step is missing
def train(loss, weights, images, labels, step_sizes):
    for t in range(len(step_sizes) - 1):
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_sizes[t])
    return weights
# %% A1-train wrong: do not depend on the step sizes
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes.tolist()):
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_size)
    return weights
# %% A1-train wrong: does the loop return too early
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_size)
        return weights
# %% A1-train wrong: (between the steps, too)
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        weights = [w.detach().requires_grad_() for w in weights]
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_size)
    return weights
# %% A1-train wrong: each step must have one
def train(loss, weights, images, labels, step_sizes):
    for t in range(len(step_sizes)):
        batch = t % len(images)
        weights = step(loss, weights, images[batch], labels[batch], step_sizes[batch])
    return weights
# %% A1-train right: repeated batches
def train(loss, weights, images, labels, step_sizes):
    passes = len(step_sizes) // len(images)
    for some, theirs, step_size in zip(images.repeat(passes, 1, 1, 1, 1), labels.repeat(passes, 1), step_sizes):
        weights = step(loss, weights, some, theirs, step_size)
    return weights
# %% A1-train right: two loops
def train(loss, weights, images, labels, step_sizes):
    t = 0
    while t < len(step_sizes):
        for batch in range(len(images)):
            weights = step(loss, weights, images[batch], labels[batch], step_sizes[t])
            t += 1
    return weights
# %% A1-train right: recursion
def train(loss, weights, images, labels, step_sizes, t=0):
    if t == len(step_sizes):
        return weights
    weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], step_sizes[t])
    return train(loss, weights, images, labels, step_sizes, t + 1)

# %% A1-meta wrong: the wrong sign
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    by_images, by_sizes = torch.autograd.grad(value, (images, step_sizes))
    return value, -by_images, -by_sizes
# %% A1-meta wrong: images first
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    return value, *torch.autograd.grad(value, (step_sizes, images))
# %% A1-meta wrong: the goal is that on real ones
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    value = loss(train(loss, weights, images, labels, step_sizes), images[-1].detach(), labels[-1])
    return value, *torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta wrong: came in were changed
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images.requires_grad_(), step_sizes.requires_grad_()
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    return value, *torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta wrong: it is a tuple of 2
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    return torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta wrong: is wrong
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    trained = train(loss, weights, images, labels, step_sizes)
    value = goal_loss(trained)
    by_weights = torch.autograd.grad(value, trained)  # with respect to the wrong thing
    return value, images * 0 + by_weights[0].mean(), step_sizes * 0 + by_weights[1].mean()
# %% A1-meta wrong: Write it yourself
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    value, gradients = dd.meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
    return value, gradients["images"], gradients["step_sizes"]
# %% A1-meta right: backward
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = images.detach().clone(), step_sizes.detach().clone()
    images.requires_grad, step_sizes.requires_grad = True, True
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    value.backward()
    return value.detach(), images.grad, step_sizes.grad
# %% A1-meta right: as leaves, in one vector
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    together = torch.cat([images.detach().flatten(), step_sizes.detach()]).requires_grad_()
    pixels, sizes = together[: images.numel()].view(images.shape), together[images.numel() :]
    value = goal_loss(train(loss, weights, pixels, labels, sizes))
    gradient = torch.autograd.grad(value, together)[0]
    return [value, gradient[: images.numel()].view(images.shape), gradient[images.numel() :]]
# %% A1-meta right: one at a time
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    [by_images] = torch.autograd.grad(value, images, retain_graph=True)
    [by_sizes] = torch.autograd.grad(value, step_sizes)
    return value.item(), by_images, by_sizes

# %% A1-distil wrong: Nothing was learned
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    for _ in range(outer_steps):  # moves along the meta-gradient
        some = torch.randint(len(real_images), (128,))
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                               weights, images, labels, step_sizes)
        images, step_sizes = images + 0.05 * by_images.sign(), (step_sizes + 0.01 * by_sizes.sign()).clamp(0.001)
    return images, step_sizes
# %% A1-distil wrong: The images have not moved
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    step_sizes = step_sizes.clone()
    for _ in range(outer_steps):
        _, _, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[:128], real_labels[:128]),
                                       weights, images, labels, step_sizes)
        step_sizes = (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return images, step_sizes
# %% A1-distil wrong: The step sizes have not moved
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images = images.clone()
    for _ in range(outer_steps):
        _, by_images, _ = meta_gradient(loss, lambda w: loss(w, real_images[:128], real_labels[:128]),
                                        weights, images, labels, step_sizes)
        images = images - 0.05 * by_images.sign()
    return images, step_sizes
# %% A1-distil wrong: A step size is 0 or negative
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    for _ in range(outer_steps):
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[:128], real_labels[:128]),
                                               weights, images, labels, step_sizes)
        images, step_sizes = images - 0.05 * by_images.sign(), step_sizes - 0.05 * by_sizes.abs().sign()
    return images, step_sizes
# %% A1-distil wrong: let the optimiser hold copies
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    adam = torch.optim.Adam([images.requires_grad_(), step_sizes.requires_grad_()], lr=0.05)
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, images.grad, step_sizes.grad = meta_gradient(
            loss, lambda w: loss(w, real_images[some], real_labels[some]), weights, images, labels, step_sizes)
        adam.step()
    return images, step_sizes
# %% A1-distil wrong: from the same first weights
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                               weights, images, labels, step_sizes)
        weights = [w.detach().requires_grad_() for w in train(loss, weights, images, labels, step_sizes)]
        images, step_sizes = images - 0.05 * by_images.sign(), (step_sizes - 0.01 * by_sizes.sign()).clamp(0.001)
    return images, step_sizes
# %% A1-distil wrong: Return two things
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    return images
# %% A1-distil wrong: it diverged
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    return images / 0, step_sizes * 2
# %% A1-distil wrong: one in each is wanted
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    for _ in range(3):  # far too few rounds
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[:128], real_labels[:128]),
                                               weights, images, labels, step_sizes)
        images, step_sizes = images - 0.05 * by_images, (step_sizes - 0.01 * by_sizes).clamp(0.001)
    return images, step_sizes
# %% A1-distil right: RMSprop
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    images_second = sizes_second = 0
    for _ in range(outer_steps):
        some = torch.randperm(len(real_images))[:128]
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                               weights, images, labels, step_sizes)
        images_second = 0.9 * images_second + 0.1 * by_images**2
        sizes_second = 0.9 * sizes_second + 0.1 * by_sizes**2
        images = images - 0.05 * by_images / (images_second.sqrt() + 1e-8)
        step_sizes = (step_sizes - 0.01 * by_sizes / (sizes_second.sqrt() + 1e-8)).clamp(0.001)
    return images, step_sizes
# %% A1-distil right: torch.optim.Adam, batches from a shuffled list
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images = torch.nn.Parameter(images.clone())
    step_sizes = torch.nn.Parameter(step_sizes.clone())
    adams = torch.optim.Adam([images], lr=0.1), torch.optim.Adam([step_sizes], lr=0.02)
    order = torch.randperm(len(real_images))
    for k in range(outer_steps):
        some = order[(128 * k + torch.arange(128)) % len(order)]
        _, images.grad, step_sizes.grad = meta_gradient(
            loss, lambda w: loss(w, real_images[some], real_labels[some]), weights, images, labels, step_sizes)
        for adam in adams:
            adam.step()
        step_sizes.data.clamp_(min=1e-3)
    return images.data, step_sizes.data
# %% A1-distil right: the sign of the gradient
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    for k in range(outer_steps):
        some = torch.randint(0, len(real_images), [256])
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                               weights, images, labels, step_sizes)
        rate = 1 - k / outer_steps
        images = images - 0.05 * rate * by_images.sign()
        step_sizes = (step_sizes - 0.01 * rate * by_sizes.sign()).clamp(min=0.001)
    return images, step_sizes
