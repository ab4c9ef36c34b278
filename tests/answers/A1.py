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
# %% A1-hand wrong: dG/dx has the wrong sign
#- dG_dw1 * -eta * (4 * w * x - 2 * y)
#+ dG_dw1 * eta * (4 * w * x - 2 * y)
# %% A1-hand wrong: you differentiated only the second
#- -eta * (4 * w * x - 2 * y)
#+ -eta * 2 * x * w
# %% A1-hand wrong: at the new weight, not at the old one
#- dG_dw1 = 2 * (w1 - wanted)
#+ dG_dw1 = 2 * (w - wanted)
# %% A1-hand wrong: the step size eta is missing
#- dG_dw1 * -eta * (4 * w * x - 2 * y)
#+ -dG_dw1 * (4 * w * x - 2 * y)
# %% A1-hand wrong: does not hold eta
#- dG_dw1 * -2 * x * (w * x - y)
#+ dG_dw1 * -2 * eta * x * (w * x - y)
# %% A1-hand wrong: return the new one
#- return w1,
#+ return w,
# %% A1-hand wrong: The step climbs
#- w1 = w - eta * 2 * x * (w * x - y)
#+ w1 = w + eta * 2 * x * (w * x - y)
#- return w1, dG_dw1
#+ dG_dw1 = 2 * (2 * w - w1 - wanted)
#+     return w1, dG_dw1
# %% A1-hand wrong: return the new weight
#- return w1,
#+ return (w1 - wanted) ** 2,
# %% A1-hand wrong: finite differences
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2

    return train_once(w, x, y, eta), (goal(x + 1e-5, eta) - goal(x, eta)) / 1e-5, (goal(x, eta + 1e-5) - goal(x, eta)) / 1e-5
# %% A1-hand wrong: finite differences
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):  # a polynomial: differences of the fourth order are exact
        return (train_once(w, x, y, eta) - wanted) ** 2

    def slope(f, at, h=0.5):
        return (f(at - 2 * h) - 8 * f(at - h) + 8 * f(at + h) - f(at + 2 * h)) / (12 * h)

    return train_once(w, x, y, eta), slope(lambda x: goal(x, eta), x), slope(lambda eta: goal(x, eta), eta)
# %% A1-hand wrong: finite differences
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):  # a complex step has no cancellation
        return (train_once(w, x, y, eta) - wanted) ** 2

    return train_once(w, x, y, eta), goal(x + 1e-30j, eta).imag / 1e-30, goal(x, eta + 1e-30j).imag / 1e-30
# %% A1-hand wrong: Write it yourself
def by_hand(w, x, y, eta, wanted):
    return by_differences(w, x, y, eta, wanted)
# %% A1-hand wrong: autograd is switched off
def by_hand(w, x, y, eta, wanted):
    x, eta = (torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in (x, eta))
    w1 = train_once(w, x, y, eta)
    return w1.detach(), *torch.autograd.grad((w1 - wanted) ** 2, (x, eta))
# %% A1-hand wrong: autograd is switched off
def by_hand(w, x, y, eta, wanted):
    x, eta = (torch.tensor(number, dtype=torch.float64) for number in (x, eta))
    by_x, by_eta = torch.func.grad(lambda x, eta: (train_once(w, x, y, eta) - wanted) ** 2, argnums=(0, 1))(x, eta)
    return train_once(w, x, y, eta), by_x, by_eta
# %% A1-hand wrong: autograd is switched off
def by_hand(w, x, y, eta, wanted):
    with torch.inference_mode(False), torch.enable_grad():
        x, eta = (torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in (x, eta))
        w1 = train_once(w, x, y, eta)
        ((w1 - wanted) ** 2).backward()
    return w1.item(), x.grad, eta.grad
# %% A1-hand wrong: must be 3 things
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    return w1, 2 * (w1 - wanted)
# %% A1-hand wrong: is wrong
#- (4 * w * x - 2 * y)
#+ (2 * w * x - 2 * y)
# %% A1-hand wrong: is wrong
#- dG_dw1 = 2 * (w1 - wanted)
#+ dG_dw1 = 2 * abs(w1 - wanted)
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
# %% A1-hand right: classes of formulas, rounded to single precision
def by_hand(w, x, y, eta, wanted):
    import numpy as np

    error = np.float64(w) * x - y
    g, slope = 2 * x * error, 2 * error + 2 * x * w
    w1 = w - eta * g
    return np.array(w1), -2 * (w1 - wanted) * eta * slope, -2 * (w1 - wanted) * g
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Relative step, high order.
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2

    def slope(f, at):
        h = at * 0.3
        return (f(at - 2 * h) - 8 * f(at - h) + 8 * f(at + h) - f(at + 2 * h)) / (12 * h)

    return train_once(w, x, y, eta), slope(lambda x: goal(x, eta), x), slope(lambda eta: goal(x, eta), eta)
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Float() first, high order.
def by_hand(w, x, y, eta, wanted):
    x, eta = float(x), float(eta)

    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2

    def slope(f, at, h=0.5):
        return (f(at - 2 * h) - 8 * f(at - h) + 8 * f(at + h) - f(at + 2 * h)) / (12 * h)

    return train_once(w, x, y, eta), slope(lambda x: goal(x, eta), x), slope(lambda eta: goal(x, eta), eta)
# %% A1-hand wrong: A number that was handed in is made complex: is
# Complex() step.
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2

    h = 1e-30
    return train_once(w, x, y, eta), goal(complex(x, h), eta).imag / h, goal(x, complex(eta, h)).imag / h
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Central differences in numpy.
def by_hand(w, x, y, eta, wanted):
    import numpy as np
    x, eta = np.float64(x), np.float64(eta)

    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2
    h = 1e-4
    return (train_once(w, x, y, eta), (goal(x + h, eta) - goal(x - h, eta)) / (2 * h),
            (goal(x, eta + h) - goal(x, eta - h)) / (2 * h))
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# A tensor as the little step, eta's difference is exact.
def by_hand(w, x, y, eta, wanted):
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2
    h = torch.tensor(0.25, dtype=torch.float64)
    four = (-goal(x + 2 * h, eta) + 8 * goal(x + h, eta) - 8 * goal(x - h, eta) + goal(x - 2 * h, eta)) / (12 * h)
    return train_once(w, x, y, eta), four, (goal(x, eta + h) - goal(x, eta - h)) / (2 * h)
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Only eta by differences, exact as G is quadratic in it.
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    e = float(eta)
    up, down = ((train_once(w, x, y, e + s) - wanted) ** 2 for s in (1.0, -1.0))
    return w1, 2 * (w1 - wanted) * -eta * (4 * w * x - 2 * y), (up - down) / 2
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# A copy of the specification under another name.
def my_differences(w, x, y, eta, wanted, tiny=1e-6):
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2
    x, eta = float(x), float(eta)
    dG_dx = (goal(x + tiny, eta) - goal(x - tiny, eta)) / (2 * tiny)
    dG_deta = (goal(x, eta + tiny) - goal(x, eta - tiny)) / (2 * tiny)
    return train_once(w, x, y, eta), dG_dx, dG_deta

def by_hand(w, x, y, eta, wanted):
    return my_differences(w, x, y, eta, wanted)
# %% A1-hand wrong: Compute the formulas: PyTorch's autograd is
# Jacobian.
def by_hand(w, x, y, eta, wanted):
    with torch.inference_mode(False), torch.enable_grad():
        one = torch.autograd.functional.jacobian(lambda x, eta: (train_once(w, x, y, eta) - wanted) ** 2,
                                                 tuple(torch.tensor(n * 1.0, dtype=torch.float64) for n in (x, eta)))
    return train_once(w, x, y, eta), one[0].item(), one[1].item()
# %% A1-hand wrong: Compute the formulas: PyTorch's autograd is
# Jvp.
def by_hand(w, x, y, eta, wanted):
    f = lambda x, eta: (train_once(w, x, y, eta) - wanted) ** 2
    a, b, z, o = (torch.tensor(float(v), dtype=torch.float64) for v in (x, eta, 0, 1))
    return train_once(w, x, y, eta), torch.func.jvp(f, (a, b), (o, z))[1], torch.func.jvp(f, (a, b), (z, o))[1]
# %% A1-hand wrong: is wrong
# Grad of w1 used for w.
def by_hand(w, x, y, eta, wanted):
    w1 = w - eta * 2 * x * (w * x - y)
    return w1, 2 * (w1 - wanted) * -eta * (4 * w1 * x - 2 * y), 2 * (w1 - wanted) * -2 * x * (w1 * x - y)
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Scipy's derivative.
def by_hand(w, x, y, eta, wanted):
    from scipy.optimize import approx_fprime
    import numpy as np
    g = approx_fprime(np.array([float(x), float(eta)]), lambda v: (train_once(w, v[0], y, v[1]) - wanted) ** 2, 1e-8)
    return train_once(w, x, y, eta), g[0], g[1]
# %% A1-hand wrong: These derivatives agree to nine digits or so, as
# Numpy polynomial fit of G.
def by_hand(w, x, y, eta, wanted):
    import numpy as np
    def goal(x, eta):
        return (train_once(w, x, y, eta) - wanted) ** 2
    pts = np.linspace(-2, 2, 5)
    px = np.polyder(np.polyfit(pts, [goal(p, eta) for p in pts], 4))
    pe = np.polyder(np.polyfit(pts, [goal(x, p) for p in pts], 2))
    return train_once(w, x, y, eta), np.polyval(px, float(x)), np.polyval(pe, float(eta))
# %% A1-hand right: with a helper and prints
def by_hand(w, x, y, eta, wanted):
    def residual(a):
        return a * x - y
    print("w", w)
    w1 = w - 2 * eta * x * residual(w)
    d = w1 - wanted
    return w1, -2 * d * eta * (2 * residual(w) + 2 * w * x), -4 * d * x * residual(w)
# %% A1-hand right: all in torch float64
def by_hand(w, x, y, eta, wanted):
    w, x, y, eta, wanted = (torch.tensor(v, dtype=torch.float64) for v in (w, x, y, eta, wanted))
    inner = torch.mul(w, x) - y
    w1 = w - eta * 2 * x * inner
    return torch.stack([w1, 2 * (w1 - wanted) * -eta * (2 * inner + 2 * x * w), 2 * (w1 - wanted) * (-2 * x * inner)]).tolist()
# %% A1-hand right: float32
def by_hand(w, x, y, eta, wanted):
    w, x, y, eta, wanted = torch.tensor([w, x, y, eta, wanted])
    w1 = w - eta * 2 * x * (w * x - y)
    outer = 2 * (w1 - wanted)
    return w1, -outer * eta * (4 * w * x - 2 * y), -outer * 2 * x * (w * x - y)
# %% A1-hand right: plus zero, times one
def by_hand(w, x, y, eta, wanted):
    total = 0 + eta * 1.0
    inner = 0.0
    inner += w * x
    inner -= y
    w1 = w - total * 2 * x * inner
    return float(w1), float(2 * (w1 - wanted) * -1 * eta * (4 * w * x - 2 * y)), float(2 * (w1 - wanted) * -2 * x * inner)
# %% A1-hand right: multiplied out wholly
def by_hand(w, x, y, eta, wanted):
    w1 = w - 2 * eta * w * x**2 + 2 * eta * x * y
    return (w1, 2 * w1 * (2 * eta * y - 4 * eta * w * x) - 2 * wanted * (2 * eta * y - 4 * eta * w * x),
            2 * w1 * (2 * x * y - 2 * w * x**2) - 2 * wanted * (2 * x * y - 2 * w * x**2))

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
# %% A1-step wrong: is it detached
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - float(step_size) * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: nor the images may be detached
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images.detach(), labels), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: nor the images may be detached
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * g.detach() for w, g in zip(weights, gradients)]
# %% A1-step wrong: does not require grad
def step(loss, weights, images, labels, step_size):
    with torch.no_grad():
        gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: were changed
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    with torch.no_grad():
        for w, g in zip(weights, gradients):
            w -= step_size * g
    return weights
# %% A1-step wrong: were changed
def step(loss, weights, images, labels, step_size):
    loss(weights, images, labels).backward(create_graph=True)
    torch.optim.SGD(weights, lr=step_size.item()).step()
    return weights
# %% A1-step wrong: add up from call to call
def step(loss, weights, images, labels, step_size):
    loss(weights, images, labels).backward(create_graph=True)
    return [w - step_size * w.grad for w in weights]
# %% A1-step wrong: divided by its norm
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    return [w - step_size * g / norm for w, g in zip(weights, gradients)]
# %% A1-step wrong: Write it yourself
def step(loss, weights, images, labels, step_size):
    return slow_step(loss, weights, images, labels, step_size)
# %% A1-step wrong: Write it yourself
def step(loss, weights, images, labels, step_size):
    from ddlite.unroll import train as package
    return package(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: do not depend
def step(loss, weights, images, labels, step_size, tiny=1e-6):
    new = []
    for k, weight in enumerate(weights):
        gradient = torch.zeros_like(weight)
        for i in range(weight.numel()):
            up, down = ([w.detach().clone() for w in weights] for _ in range(2))
            up[k].view(-1)[i] += tiny
            down[k].view(-1)[i] -= tiny
            gradient.view(-1)[i] = ((loss(up, images, labels) - loss(down, images, labels)) / (2 * tiny)).detach()
        new.append((weight - step_size * gradient).detach())
    return new
# %% A1-step wrong: The loss was called
def step(loss, weights, images, labels, step_size, tiny=1e-6):
    new = []  # differences of a loss that autograd can follow: right to six digits, and slow
    for k, weight in enumerate(weights):
        parts = []
        for i in range(weight.numel()):
            move = torch.zeros_like(weight).view(-1)
            move[i] = tiny
            up, down = ([w + s * move.view_as(w) if j == k else w for j, w in enumerate(weights)] for s in (1, -1))
            parts.append((loss(up, images, labels) - loss(down, images, labels)) / (2 * tiny))
        new.append(weight - step_size * torch.stack(parts).view_as(weight))
    return new
# %% A1-step wrong: is wrong
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights[:1], create_graph=True)
    return [weights[0] - step_size * gradients[0], *weights[1:]]
# %% A1-step wrong: is wrong
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w * 0.999 - step_size * g for w, g in zip(weights, gradients)]  # a little weight decay
# %% A1-step wrong: is wrong
def step(loss, weights, images, labels, step_size):
    logits_of = dd.outputs_of(torch.nn.Identity()) if False else None
    gradients = torch.autograd.grad(loss(weights, images[:1], labels[:1]), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]  # the first image alone
# %% A1-step wrong: is wrong
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels * 0), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: is wrong
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * g.clamp(-0.1, 0.1) for w, g in zip(weights, gradients)]
# %% A1-step wrong: does your function return it
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    weights = [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: Called a second time
calls_so_far = []
def step(loss, weights, images, labels, step_size):
    calls_so_far.append(loss)  # momentum, which remembers earlier calls
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * g * (1 if len(calls_so_far) % 2 else 1.1) for w, g in zip(weights, gradients)]
# %% A1-step wrong: step(...) is wrong
# A long gradient is cut to length 1, as for explosions.
#- return [w - step_size * g for w, g in zip(weights, gradients)]
#+ length = torch.cat([g.flatten() for g in gradients]).norm()
#+     return [w - step_size * g / length.clamp(min=1) for w, g in zip(weights, gradients)]
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
# %% A1-step right: as a generator, with retain_graph
def step(loss, weights, images, labels, step_size):
    value = loss(list(weights), images, labels)
    slopes = torch.autograd.grad(value, list(weights), create_graph=True, retain_graph=True)
    return list(map(lambda pair: torch.add(pair[0], -step_size * pair[1]), zip(weights, slopes)))
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# Importlib, the package's file under another name.
def step(loss, weights, images, labels, step_size):
    import importlib.util
    spec = importlib.util.spec_from_file_location("mine", dd.unroll.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.train(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# Reload.
def step(loss, weights, images, labels, step_size):
    import importlib
    import ddlite.unroll
    return importlib.reload(ddlite.unroll).train(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# The package's source, executed before.
names = {}
exec(open(dd.unroll.__file__).read(), names)
def step(loss, weights, images, labels, step_size):
    return names["train"](loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# A copy of the function object.
import types
their = dd.train.__wrapped__ if hasattr(dd.train, "__wrapped__") else dd.train
mine = types.FunctionType(their.__code__, their.__globals__, argdefs=their.__defaults__)
def step(loss, weights, images, labels, step_size):
    return mine(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# The package's by getattr.
def step(loss, weights, images, labels, step_size):
    return getattr(dd, "tra" + "in")(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# By __globals__.
def step(loss, weights, images, labels, step_size):
    return dd.DistilledSet.train.__globals__["unroll"].train(loss, weights, [(images, labels, step_size)])
# %% A1-step wrong: Write it yourself: neither ddlite's functions nor
# By the course's helpers.
def step(loss, weights, images, labels, step_size):
    from ddlite.course.a1 import dd as package
    return package.unroll.train(loss, weights, [(images, labels, step_size)], create_graph=True)
# %% A1-step wrong: is wrong
# Only the first gradient keeps its graph.
def step(loss, weights, images, labels, step_size):
    new = []
    for k, w in enumerate(weights):
        [g] = torch.autograd.grad(loss(weights, images, labels), w, create_graph=k == 0)
        new.append(w - step_size * g)
    return new
# %% A1-step wrong: is wrong
# The biases' gradient is detached.
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * (g if g.dim() > 1 else g.detach()) for w, g in zip(weights, gradients)]
# %% A1-step wrong: is wrong
# Labels[0] for all.
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels[0].expand_as(labels)), weights, create_graph=True)
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: is wrong
# Cached by the ids of what came in.
cache = {}
def step(loss, weights, images, labels, step_size):
    key = id(images), id(labels)
    if key not in cache:
        gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
        cache[key] = [w - step_size * g for w, g in zip(weights, gradients)]
    return cache[key]
# %% A1-step wrong: The new weights do not depend on the images for
# Jacobian of the loss, no create_graph.
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.functional.jacobian(lambda *w: loss(list(w), images, labels), tuple(weights))
    return [w - step_size * g for w, g in zip(weights, gradients)]
# %% A1-step wrong: is wrong
# Half precision on the way.
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [(w.half() - step_size.half() * g.half()).double() for w, g in zip(weights, gradients)]
# %% A1-step wrong: is wrong
# Old weights averaged in.
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=True)
    return [w - step_size * g + 0.001 * w for w, g in zip(weights, gradients)]
# %% A1-step wrong: times: are these finite differences? Compute it
# Differences by vmap.
def step(loss, weights, images, labels, step_size, tiny=1e-5):
    new = []
    for k, w in enumerate(weights):
        moves = tiny * torch.eye(w.numel(), dtype=w.dtype).view(-1, *w.shape)
        at = lambda m, k=k: loss([v + m if j == k else v for j, v in enumerate(weights)], images, labels)
        g = (torch.func.vmap(at)(moves) - torch.func.vmap(at)(-moves)) / (2 * tiny)
        new.append(w - step_size * g.view_as(w))
    return new
# %% A1-step right: dict of names, helper, print, warning
def step(loss, weights, images, labels, step_size):
    import warnings
    warnings.warn("a student's warning")
    def gradient():
        value = loss(weights, images, labels)
        print("loss", value.item())
        return torch.autograd.grad(value, weights, create_graph=True, allow_unused=False)
    found = dict(enumerate(gradient()))
    return [weights[k] - found[k] * step_size for k in range(len(weights))]
# %% A1-step right: backward on clones
def step(loss, weights, images, labels, step_size):
    copies = [w.clone() for w in weights]
    for c in copies:
        c.retain_grad()
    loss(copies, images, labels).backward(create_graph=True, inputs=copies)
    return [w - step_size * c.grad for w, c in zip(weights, copies)]
# %% A1-step right: jacobian with create_graph
def step(loss, weights, images, labels, step_size):
    gradients = torch.autograd.functional.jacobian(lambda *w: loss(list(w), images, labels), tuple(weights), create_graph=True)
    return [torch.lerp(w, w - g, step_size) for w, g in zip(weights, gradients)]

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
# %% A1-train wrong: The labels are always those of the first batch
#- labels[batch]
#+ labels[0]
# %% A1-train wrong: The labels are not those of the batch
#- labels[batch]
#+ labels[batch - 1]
# %% A1-train wrong: Only the last batch
#- images[batch], labels[batch]
#+ images[-1], labels[-1]
# %% A1-train wrong: the last step size
#- labels[batch], step_size)
#+ labels[batch], step_sizes[-1])
# %% A1-train wrong: the mean step size
#- labels[batch], step_size)
#+ labels[batch], step_sizes.mean())
# %% A1-train wrong: The step sizes run backwards
#- enumerate(step_sizes)
#+ enumerate(step_sizes.flip(0))
# %% A1-train wrong: The batches run backwards
#- batch = t % len(images)
#+ batch = (len(step_sizes) - 1 - t) % len(images)
# %% A1-train wrong: The first step is missing
#- in enumerate(step_sizes):
#+ in list(enumerate(step_sizes))[1:]:
# %% A1-train wrong: is the result of each step handed on
#- weights = step(
#+ step(
# %% A1-train wrong: Write it yourself
def train(loss, weights, images, labels, step_sizes):
    return dd.train(loss, weights, [(images[t % len(images)], labels[t % len(images)], size)
                                    for t, size in enumerate(step_sizes)])
# %% A1-train wrong: Write it yourself
def train(loss, weights, images, labels, step_sizes):
    import ddlite.unroll as u
    return u.train(loss, weights, [(images[t % len(images)], labels[t % len(images)], s) for t, s in enumerate(step_sizes)])
# %% A1-train wrong: do not depend on the images
#- images[batch], labels
#+ images[batch].detach(), labels
# %% A1-train wrong: does not require grad
#- weights = step(loss, weights, images[batch], labels[batch], step_size)
#+ with torch.no_grad():
#+             for w, new in zip(weights, step(loss, weights, images[batch], labels[batch], step_size)):
#+                 w.copy_(new)
# %% A1-train wrong: does your function return it
#- return weights
#+ weights
# %% A1-train wrong: is wrong
#- step(loss, weights, images[batch], labels[batch], step_size)
#+ step(loss, weights, images[batch], labels[batch], step_size / len(step_sizes))
# %% A1-train wrong: is wrong
#- batch = t % len(images)
#+ batch = t % 2
# %% A1-train wrong: is wrong
#- step(loss, weights, images[batch], labels[batch], step_size)
#+ step(loss, weights, images.flatten(0, 1), labels.flatten(), step_size)
# %% A1-train wrong: is wrong
#- step(loss, weights, images[batch], labels[batch], step_size)
#+ step(loss, weights, images[batch][:-1], labels[batch][:-1], step_size)
# %% A1-train wrong: must be 4 things
#- return weights
#+ return weights[0]
# %% A1-train wrong: is wrong
#- in enumerate(step_sizes):
#+ in enumerate(sorted(step_sizes)):
# %% A1-train wrong: begin with the second one
#- t % len(images)
#+ (t + 1) % len(images)
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
# %% A1-train right: a fold
def train(loss, weights, images, labels, step_sizes):
    import functools
    import itertools

    steps = zip(itertools.cycle(zip(images, labels)), step_sizes)
    return functools.reduce(lambda now, one: step(loss, now, *one[0], one[1]), steps, weights)
# %% A1-train wrong: is wrong
# Each pass begins at the first weights.
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        b = t % len(images)
        now = weights if b == 0 else now
        now = step(loss, now, images[b], labels[b], step_size)
    return now
# %% A1-train wrong: is wrong
# Only the last pass keeps its graph.
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        b = t % len(images)
        weights = step(loss, weights, images[b], labels[b], step_size)
        if t < len(step_sizes) - len(images):
            weights = [w.detach().requires_grad_() for w in weights]
    return weights
# %% A1-train wrong: is wrong
# The first image of each batch only.
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        b = t % len(images)
        weights = step(loss, weights, images[b][:1], labels[b][:1], step_size)
    return weights
# %% A1-train wrong: is wrong
# One counter for all calls.
counter = 0
def train(loss, weights, images, labels, step_sizes):
    global counter
    for step_size in step_sizes:
        b = counter % len(images)
        weights = step(loss, weights, images[b], labels[b], step_size)
        counter += 1
    return weights
# %% A1-train wrong: is wrong
# A random batch in each step.
def train(loss, weights, images, labels, step_sizes):
    for step_size in step_sizes:
        b = int(torch.randint(len(images), ()))
        weights = step(loss, weights, images[b], labels[b], step_size)
    return weights
# %% A1-train wrong: is wrong
# Batch t % number of images.
def train(loss, weights, images, labels, step_sizes):
    for t, step_size in enumerate(step_sizes):
        b = t % images.shape[1] % len(images)
        weights = step(loss, weights, images[b], labels[b], step_size)
    return weights
# %% A1-train wrong: One of the differentiated Tensors does not require
# Remembers the weights of the call before.
last = {}
def train(loss, weights, images, labels, step_sizes):
    weights = last.get(len(images), weights)
    for t, step_size in enumerate(step_sizes):
        b = t % len(images)
        weights = step(loss, weights, images[b], labels[b], step_size)
    last[len(images)] = [w.detach() for w in weights]
    return weights
# %% A1-train wrong: Write it yourself: neither ddlite's functions nor
# The package by the pool's machinery.
def train(loss, weights, images, labels, step_sizes):
    import sys
    return sys.modules["ddlite.unroll"].train(loss, weights, [
        (images[t % len(images)], labels[t % len(images)], s) for t, s in enumerate(step_sizes)])
# %% A1-train wrong: is wrong
# One step with the summed step size.
def train(loss, weights, images, labels, step_sizes):
    for b in range(len(images)):
        weights = step(loss, weights, images[b], labels[b], step_sizes[b::len(images)].sum())
    return weights
# %% A1-train wrong: is wrong
# Step sizes are halved in each pass.
def train(loss, weights, images, labels, step_sizes):
    for t, s in enumerate(step_sizes):
        weights = step(loss, weights, images[t % len(images)], labels[t % len(images)], s * 0.5 ** (t // len(images)))
    return weights
# %% A1-train right: index tensors, tqdm
def train(loss, weights, images, labels, step_sizes):
    from tqdm import tqdm
    which = torch.arange(len(step_sizes)) % images.shape[0]
    for b, s in tqdm(list(zip(which, step_sizes)), leave=False):
        weights = step(loss, weights, images.select(0, b.item()), labels[b], s)
    return weights
# %% A1-train right: unbind, chunks
def train(loss, weights, images, labels, step_sizes):
    pairs = list(zip(images.unbind(), labels.unbind()))
    for sizes in step_sizes.split(len(pairs)):
        for (x, y), s in zip(pairs, sizes):
            weights = step(loss, weights, x, y, s)
    return tuple(weights)

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
# %% A1-meta wrong: The gradient of the step sizes is missing
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ return value, torch.autograd.grad(value, images)[0], torch.zeros_like(step_sizes)
# %% A1-meta wrong: are two calls added up
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ value.backward(retain_graph=True)
#+     value.backward()
#+     return value, images.grad, step_sizes.grad
# %% A1-meta wrong: value is that of the untrained
#- return value, *torch
#+ return goal_loss(weights), *torch
# %% A1-meta wrong: meta_gradient(...), number 1, is wrong
#- goal_loss(train(loss, weights, images, labels, step_sizes))
#+ loss(train(loss, weights, images, labels, step_sizes), images[0], labels[0])
# %% A1-meta wrong: Only the first batch of images
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ by_images, by_sizes = torch.autograd.grad(value, (images, step_sizes))
#+     by_images[1:] = 0
#+     return value, by_images, by_sizes
# %% A1-meta wrong: divided by their length
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ return value, *(g / g.norm() for g in torch.autograd.grad(value, (images, step_sizes)))
# %% A1-meta wrong: divided by the number of steps
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ return value, *(g / len(step_sizes) for g in torch.autograd.grad(value, (images, step_sizes)))
# %% A1-meta wrong: finite differences
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    def slopes(tensor, f, tiny=1e-5):
        moves = torch.eye(tensor.numel(), dtype=tensor.dtype).view(-1, *tensor.shape) * tiny
        return torch.stack([(f(tensor + m) - f(tensor - m)).detach() / (2 * tiny) for m in moves]).view_as(tensor)

    return (goal_loss(train(loss, weights, images, labels, step_sizes)).detach(),
            slopes(images, lambda i: goal_loss(train(loss, weights, i, labels, step_sizes))),
            slopes(step_sizes, lambda s: goal_loss(train(loss, weights, images, labels, s))))
# %% A1-meta wrong: Write it yourself
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    return slow_meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
# %% A1-meta wrong: Write it yourself
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    value, gradients = dd.adjoint.meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
    return value, gradients["images"], gradients["step_sizes"]
# %% A1-meta wrong: Write it yourself
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    value, gradients = dd.unroll.meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
    return value, gradients["images"], gradients["step_sizes"]
# %% A1-meta wrong: Write it yourself
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    steps = [(images[t % len(images)], labels[t % len(images)], size) for t, size in enumerate(step_sizes)]
    value = goal_loss(dd.train(loss, weights, steps))
    return value, *torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta wrong: came in were changed
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images, step_sizes = (t.requires_grad_() for t in (images, step_sizes))
# %% A1-meta wrong: is wrong
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images, step_sizes = (t.detach().requires_grad_() for t in (images, step_sizes))
#+     with torch.no_grad():
#+         images.clamp_(0, 1)
# %% A1-meta wrong: is wrong
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.clone().requires_grad_() for t in (images, step_sizes))
    new = weights
    for t, size in enumerate(step_sizes):
        b = t % len(images)
        new = step(loss, [w.detach().requires_grad_() for w in new], images[b], labels[b], size)  # detached between the steps
    value = goal_loss(new)
    return value, *torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta wrong: is wrong
#- labels, step_sizes))
#+ labels[:1].expand_as(labels), step_sizes))
# %% A1-meta wrong: is wrong
#- goal_loss(train(loss, weights, images, labels, step_sizes))
#+ goal_loss(train(loss, weights, images, labels, step_sizes)) + 0.01 * (images**2).mean()
# %% A1-meta wrong: is wrong
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ return value, *(g.clamp(-0.01, 0.01) for g in torch.autograd.grad(value, (images, step_sizes)))
# %% A1-meta wrong: is wrong
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ by_images, by_sizes = torch.autograd.grad(value, (images, step_sizes))
#+     return value, by_images.mean(0, keepdim=True).expand_as(by_images), by_sizes
# %% A1-meta wrong: must be numbers
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ return value, {"images": torch.autograd.grad(value, images)[0]}, step_sizes
# %% A1-meta wrong: is wrong
# Long gradients are cut.
#- return value, *torch.autograd.grad(value, (images, step_sizes))
#+ slopes = torch.autograd.grad(value, (images, step_sizes))
#+     return value, *(slope / slope.norm().clamp(min=1) for slope in slopes)
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
# %% A1-meta wrong: is wrong
# The images have no graph between.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    by_sizes, = torch.autograd.grad(value, step_sizes)
    value2 = goal_loss(step(loss, [w.detach().requires_grad_() for w in train(loss, weights, images, labels, step_sizes[:-1])],
                            images[-1], labels[-1], step_sizes[-1]))
    return value, torch.autograd.grad(value2, images)[0], by_sizes
# %% A1-meta wrong: times: are these finite differences? Train once,
# Differences for the step sizes only.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images = images.detach().clone().requires_grad_()
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    slopes = []
    for t in range(len(step_sizes)):
        moved = step_sizes.clone()
        moved[t] += 1e-6
        slopes.append((goal_loss(train(loss, weights, images.detach(), labels, moved)).item() - value.item()) / 1e-6)
    return value, torch.autograd.grad(value, images)[0], torch.tensor(slopes, dtype=step_sizes.dtype)
# %% A1-meta wrong: is wrong
# Gradient of the root.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    return value, *torch.autograd.grad(value.sqrt(), (images, step_sizes))
# %% A1-meta wrong: ) must match the size of tensor b (
# .grad on the images is never cleared.
kept = {}
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    key = tuple(images.shape)
    if key not in kept:
        kept[key] = images.clone().requires_grad_(), step_sizes.clone().requires_grad_()
    mine, sizes = kept[key]
    mine.data, sizes.data = images.clone(), step_sizes.clone()
    value = goal_loss(train(loss, weights, mine, labels, sizes))
    value.backward()
    return value, mine.grad, sizes.grad
# %% A1-meta wrong: Write it yourself: neither ddlite's functions nor
# Importlib reload.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    import importlib, ddlite.unroll as u
    importlib.reload(u)
    value, g = u.meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
    return value, g["images"], g["step_sizes"]
# %% A1-meta wrong: Write it yourself: neither ddlite's functions nor
# Chain engine of the package.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    from ddlite.engines import adjoint as quick
    value, g = quick.meta_gradient(loss, goal_loss, weights, images, labels, step_sizes)
    return value, g["images"], g["step_sizes"]
# %% A1-meta wrong: is wrong
# Sum of the gradient over the batch's images.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes))
    g, s = torch.autograd.grad(value, (images, step_sizes))
    return value, g.sum(1, keepdim=True).expand_as(g), s
# %% A1-meta wrong: is wrong
# Float32 images.
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    value = goal_loss(train(loss, weights, images, labels, step_sizes.abs().clamp(max=0.5)))
    return value, *torch.autograd.grad(value, (images, step_sizes))
# %% A1-meta right: torch.func.grad_and_value-like, by jacobian
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    def goal(pixels, sizes):
        return goal_loss(train(loss, weights, pixels, labels, sizes))
    found = torch.autograd.functional.jacobian(goal, (images, step_sizes))
    with torch.no_grad():
        pass
    return goal(images, step_sizes).detach(), *found
# %% A1-meta right: watches the loss first
def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes):
    before = goal_loss(weights).item()
    pixels, sizes = images.clone(), step_sizes.clone()
    pixels.requires_grad_(True)
    sizes.requires_grad_(True)
    after = goal_loss(train(loss, weights, pixels, labels, sizes))
    print(f"{before:.2f} -> {after.item():.2f}")
    return after.detach().numpy(), *torch.autograd.grad(after, [pixels, sizes])

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
        some = torch.randint(len(real_images), (128,))
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
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
    for _ in range(2):  # far too few rounds
        _, by_images, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[:128], real_labels[:128]),
                                               weights, images, labels, step_sizes)
        images, step_sizes = images - 0.05 * by_images, (step_sizes - 0.01 * by_sizes).clamp(0.001)
    return images, step_sizes
# %% A1-distil wrong: It learns from test images
#- (128,))
#+ (128,)) % len(data.test)
#- real_images[some], real_labels[some]
#+ data.test.images[some], data.test.labels[some]
# %% A1-distil wrong: It learns from validation images
#- (128,))
#+ (128,)) % len(data.validation)
#- real_images[some], real_labels[some]
#+ data.validation.images[some], data.validation.labels[some]
# %% A1-distil wrong: It learns from images that were not handed in
#- real_images[some], real_labels[some]
#+ data.train.images[some], data.train.labels[some]
#- for _ in range(outer_steps):
#+ for _ in range(100):
# %% A1-distil wrong: It learns from images that were not handed in
#- some = torch.randint(len(real_images), (128,))
#+ some = torch.randint(len(data.train), (128,))
#- real_images[some], real_labels[some]
#+ data.train.images[some], data.train.labels[some]
# %% A1-distil wrong: The real batch is the same again and again
#- for _ in range(outer_steps):
#+ some = torch.randperm(len(real_images))[:128]
#+     for _ in range(outer_steps):
#-         some = torch.randint(len(real_images), (128,))
#+         pass
# %% A1-distil wrong: 128 are wanted
#- (128,)
#+ (16,)
# %% A1-distil wrong: 128 are wanted
#- some = torch.randint(len(real_images), (128,))
#+ some = torch.arange(len(real_images))
# %% A1-distil wrong: draw from all of them
#- torch.randint(len(real_images), (128,))
#+ torch.randperm(200)[:128]
# %% A1-distil wrong: do not belong together
#- real_images[some], real_labels[some]
#+ real_images[some], real_labels[torch.randint(len(real_images), (128,))]
# %% A1-distil wrong: Write it yourself
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    from dataclasses import replace

    dset = replace(noise, images=images, labels=labels, step_sizes=step_sizes)
    *_, last = dd.distill(dset, dd.FixedStart(network), dd.Fit(data), outer_steps)
    return last.distilled.images, last.distilled.step_sizes
# %% A1-distil wrong: Write it yourself
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = images.clone(), step_sizes.clone()
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, found = dd.adjoint.meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights, images,
                                            labels, step_sizes)
        images = images - 0.05 * found["images"].sign()
        step_sizes = (step_sizes - 0.01 * found["step_sizes"].sign()).clamp(0.001)
    return images, step_sizes
# %% A1-distil wrong: never differentiated
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    means = torch.stack([real_images[real_labels == label].mean(0) for label in labels[0]])[None]
    return means, step_sizes * 0 + 0.3  # class means, and nothing learned
# %% A1-distil wrong: never differentiated
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    some = torch.stack([real_images[real_labels == label][0] for label in labels[0]])[None]
    return some, step_sizes * 2
# %% A1-distil wrong: In the first round the goal looks at another network
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images = torch.stack([real_images[real_labels == label].mean(0) for label in labels[0]])[None]
#+     images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
# %% A1-distil wrong: Each round must train for
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    adam = torch.optim.Adam([images, step_sizes], lr=0.02)
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, by_images, by_size = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights, images,
                                              labels, step_sizes[:1])
        images.grad, step_sizes.grad = by_images, by_size.repeat(len(step_sizes))
        adam.step()
        step_sizes.data.clamp_(min=0.001)
    return images.detach(), step_sizes.detach()
# %% A1-distil wrong: Nothing was learned
#- optimizer.step()
#+ images.grad, step_sizes.grad = torch.randn_like(images), step_sizes.grad.sign()
#+         optimizer.step()
# %% A1-distil right: chosen by validation images, NAdam and RMSprop
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    import warnings

    images, step_sizes, best = images.clone().requires_grad_(), step_sizes.clone().requires_grad_(), None
    optimizers = torch.optim.NAdam([images], lr=0.06), torch.optim.RMSprop([step_sizes], lr=0.005)
    for k in range(outer_steps):
        some = torch.multinomial(torch.ones(len(real_labels)), 128)
        _, images.grad, step_sizes.grad = meta_gradient(
            loss, lambda w, some=some: loss(w, real_images[some], real_labels[some]), weights, images, labels, step_sizes)
        for optimizer in optimizers:
            optimizer.step()
        step_sizes.data.clamp_(min=1e-3)
        if k % 10 == 9 or k == outer_steps - 1:
            trained = train(loss, weights, images, labels, step_sizes)
            value = loss(trained, data.validation.images, data.validation.labels).item()
            if best is None or value <= best[0]:
                best = value, images.detach().clone(), step_sizes.detach().clone()
    warnings.warn("A warning on stderr.")
    return best[1:]
# %% A1-distil wrong: one in each is wanted
#- range(outer_steps)
#+ range(outer_steps + 1)
# %% A1-distil wrong: are never drawn
# The last image is left out.
#- torch.randint(len(real_images), (128,))
#+ torch.randint(0, len(real_images) - 1, (128,))
# %% A1-distil wrong: are never drawn
# No nines.
#- torch.randint(len(real_images), (128,))
#+ torch.multinomial((real_labels != 9).float(), 128)
# %% A1-distil wrong: A step size is 0 or negative
# Only what is returned is positive.
#- step_sizes.clamp_(min=0.001)
#+ pass
#- images.detach(), step_sizes.detach()
#+ images.detach(), step_sizes.detach().clamp(min=0.001)
# %% A1-distil wrong: A step size is 0 or negative
# Turned round at the end.
#- step_sizes.clamp_(min=0.001)
#+ pass
#- images.detach(), step_sizes.detach()
#+ images.detach(), step_sizes.detach().abs() + 0.001
# %% A1-distil wrong: something put in at the end
# A tenth of real images.
#- return images.detach(), step_sizes.detach()
#+ real = torch.stack([real_images[real_labels == label][0] for label in labels.flatten()]).view_as(images)
#+     return 0.9 * images.detach() + 0.1 * real, step_sizes.detach()
# %% A1-distil wrong: In the first round the goal looks at another
# Noise of its own.
#- optimizer = torch
#+ images = torch.randn_like(images).requires_grad_()
#+     optimizer = torch
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
# %% A1-distil right: momentum written out, a falling rate, every image once before any comes again
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes, order, first, second = images.clone(), step_sizes.clone(), [], [0, 0], [0, 0]
    for k in range(outer_steps):
        order = order if len(order) >= 128 else torch.randperm(len(real_images)).tolist()
        some, order = order[:128], order[128:]
        _, *found = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                  weights, images, labels, step_sizes)
        rate, moves = 1 - 0.8 * k / outer_steps, []
        for i, g in enumerate(found):
            first[i], second[i] = 0.9 * first[i] + 0.1 * g, 0.99 * second[i] + 0.01 * g**2
            moves.append(first[i] / (1 - 0.9 ** (k + 1)) / ((second[i] / (1 - 0.99 ** (k + 1))).sqrt() + 1e-8))
        images, step_sizes = images - 0.08 * rate * moves[0], (step_sizes - 0.01 * rate * moves[1]).clamp(min=0.001)
    return images, step_sizes
# %% A1-distil right: the validation loss is watched, with its graph
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    optimizer, watched = torch.optim.Adam([{"params": [images], "lr": 0.05}, {"params": [step_sizes], "lr": 0.01}]), []
    for k in range(outer_steps):
        some = torch.randperm(len(real_images))[:128]
        _, images.grad, step_sizes.grad = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]),
                                                        weights, images, labels, step_sizes)
        optimizer.step()
        step_sizes.data.clamp_(min=0.001)
        if k % 50 == 0:
            after = train(loss, weights, images, labels, step_sizes)
            watched.append(loss(after, data.validation.images, data.validation.labels))
    return images.detach(), step_sizes.detach()
# %% A1-distil wrong: It learns from test images, or looks at them
# Keeps the round that is best on the test images.
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    optimizer, best = torch.optim.Adam([{"params": [images], "lr": 0.05}, {"params": [step_sizes], "lr": 0.01}]), (9e9, None)
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, images.grad, step_sizes.grad = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights,
                                                        images, labels, step_sizes)
        optimizer.step()
        with torch.no_grad():
            step_sizes.clamp_(min=0.001)
        on_test = loss(train(loss, weights, images, labels, step_sizes), data.test.images, data.test.labels).item()
        best = min(best, (on_test, (images.detach().clone(), step_sizes.detach().clone())), key=lambda one: one[0])
    return best[1]
# %% A1-distil wrong: or negative, where training on the images does
# Never clamps.
#- step_sizes.clamp_(min=0.001)
#+ pass
# %% A1-distil wrong: or negative, where training on the images does
# Clamps a copy.
#- step_sizes.clamp_(min=0.001)
#+ step_sizes.clamp(min=0.001)
# %% A1-distil wrong: In the first round the goal looks at another
# Ignores the step sizes given.
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images, step_sizes = images.clone().requires_grad_(), torch.full((3,), 0.1, requires_grad=True)
# %% A1-distil wrong: In the first round the goal looks at another
# The notebook's noise.
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images, step_sizes = (t.detach().clone().requires_grad_() for t in (noise.images, noise.step_sizes))
# %% A1-distil wrong: Each round must train anew, from the same first
# The notebook's weights.
#- loss, goal_loss, weights,
#+ loss, goal_loss, dd.weights_of(network),
# %% A1-distil wrong: The real images come in the order of the data: draw
# Batches in the order of the data.
#- for _ in range(outer_steps):
#+ for k in range(outer_steps):
#- torch.randint(len(real_images), (128,))
#+ (torch.arange(128) + 128 * k) % len(real_images)
# %% A1-distil wrong: In the first round the goal looks at another
# Other step sizes to begin with.
#- images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
#+ images, step_sizes = images.clone().requires_grad_(), torch.full_like(step_sizes, 0.3).requires_grad_()
# %% A1-distil wrong: of the images have not moved: all are to be learned
# Only nine of ten images are learned.
#- optimizer.step()
#+ images.grad[:, 0] = 0
#+         optimizer.step()
# %% A1-distil wrong: The real batch is the same again and again: draw a
# A seed set anew in each round.
#- some = torch.randint
#+ torch.manual_seed(0)
#+         some = torch.randint
# %% A1-distil wrong: These images have nothing of the noise that came
# The loss on the training images of the whole data set at the end.
#- return images.detach(), step_sizes.detach()
#+ images = images.detach().clone()
#+     for label in range(10):
#+         images[0][labels[0] == label] = real_images[real_labels == label].mean(0)
#+     return images, step_sizes.detach()
# %% A1-distil wrong: A real batch has
# Learns by the last batch of synthetic images alone.
#- loss(weights, real_images[some], real_labels[some])
#+ loss(weights, real_images[some[:64]], real_labels[some[:64]])
# %% A1-distil wrong: It learns from test images, or looks at them
# Looks at test accuracy by the network.
#- optimizer.step()
#+ optimizer.step()
#+         trained = dd.unroll.with_weights(network, train(loss, weights, images, labels, step_sizes))
#+         score = (trained(data.test.images).argmax(1) == data.test.labels).float().mean()
#+         if score > 0.97:
#+             break
# %% A1-distil right: tqdm, prints, numpy's order, helper
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    import numpy as np
    from tqdm import trange
    def draw():
        some = np.random.choice(len(real_images), 128, replace=False)
        return real_images[some], real_labels[some]
    pixels, sizes = images.detach().clone().requires_grad_(), step_sizes.detach().clone().requires_grad_()
    opt = torch.optim.AdamW([dict(params=[pixels], lr=0.05, weight_decay=0.0), dict(params=[sizes], lr=0.01, weight_decay=0.0)])
    for k in trange(outer_steps, leave=False):
        x, y = draw()
        opt.zero_grad()
        value, pixels.grad, sizes.grad = meta_gradient(loss, lambda w: loss(w, x, y), weights, pixels, labels, sizes)
        torch.nn.utils.clip_grad_norm_([pixels, sizes], 5.0)
        opt.step()
        sizes.data = sizes.data.clamp(1e-3)
        if k % 50 == 0:
            print(k, float(value))
    return pixels.detach(), sizes.detach()
# %% A1-distil right: keeps the round that is best on validation images, watched under no_grad
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    opt, best = torch.optim.Adam([{"params": [images], "lr": 0.05}, {"params": [step_sizes], "lr": 0.01}]), None
    held = torch.randperm(len(real_images))[:200]
    for k in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, images.grad, step_sizes.grad = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights,
                                                        images, labels, step_sizes)
        opt.step()
        with torch.no_grad():
            step_sizes.clamp_(min=0.001)
        if k % 10 == 9 or k == outer_steps - 1:
            after = train(loss, weights, images, labels, step_sizes)
            with torch.no_grad():
                on_held = loss(after, real_images[held], real_labels[held]).item()
            if best is None or on_held < best[0]:
                best = on_held, images.detach().clone(), step_sizes.detach().clone()
    return best[1], best[2]
# %% A1-distil right: logarithms of step sizes
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    pixels, logs = images.clone(), step_sizes.log()
    adam = torch.optim.Adam([pixels], lr=0.05), torch.optim.Adam([logs], lr=0.05)
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        sizes = logs.exp()
        _, pixels.grad, by_sizes = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights,
                                                 pixels, labels, sizes)
        logs.grad = by_sizes * sizes
        for one in adam:
            one.step()
    return pixels, logs.exp().clamp(min=0.001)
# %% A1-distil wrong: is something put in at the end, such as real images
# Half real images.
#- return images.detach(), step_sizes.detach()
#+ some = torch.stack([real_images[real_labels == label][0] for label in labels[0]])[None]
#+     return 0.5 * images.detach() + 0.5 * some, step_sizes.detach()
# %% A1-distil wrong: is something put in at the end, such as real images
# Class means are added.
#- return images.detach(), step_sizes.detach()
#+ means = torch.stack([real_images[real_labels == label].mean(0) for label in labels[0]])[None]
#+     return images.detach() + 0.6 * means, step_sizes.detach()
# %% A1-distil wrong: is something put in at the end, such as real images
# Some more noise.
#- return images.detach(), step_sizes.detach()
#+ return images.detach() + 0.4 * torch.randn_like(images), step_sizes.detach()
# %% A1-distil wrong: are they averaged, sorted or exchanged at the end
#- step_sizes.detach()
#+ step_sizes.detach().mean().repeat(len(step_sizes))
# %% A1-distil wrong: are they averaged, sorted or exchanged at the end
#- step_sizes.detach()
#+ torch.full_like(step_sizes.detach(), step_sizes.max().item())
# %% A1-distil wrong: are they averaged, sorted or exchanged at the end
#- step_sizes.detach()
#+ step_sizes.detach().roll(1)
# %% A1-distil right: one Adam for both
#- torch.optim.Adam([{"params": [images], "lr": 0.05},
#+ torch.optim.Adam([images, step_sizes], lr=0.05)
#-                                   {"params": [step_sizes], "lr": 0.01}])
# %% A1-distil right: the average of the last rounds
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    optimizer, late = torch.optim.Adam([{"params": [images], "lr": 0.05}, {"params": [step_sizes], "lr": 0.01}]), []
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, images.grad, step_sizes.grad = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights,
                                                        images, labels, step_sizes)
        optimizer.step()
        step_sizes.data.clamp_(min=0.001)
        late = [*late, (images.detach().clone(), step_sizes.detach().clone())][-10:]
    return tuple(sum(each) / len(late) for each in zip(*late))
# %% A1-distil right: gradient descent with momentum, clipped
def distil(loss, weights, images, labels, step_sizes, real_images, real_labels, outer_steps):
    images, step_sizes = (t.detach().clone().requires_grad_() for t in (images, step_sizes))
    optimizer = torch.optim.SGD([{"params": [images], "lr": 1.5}, {"params": [step_sizes], "lr": 0.01}], momentum=0.8)
    for _ in range(outer_steps):
        some = torch.randint(len(real_images), (128,))
        _, images.grad, step_sizes.grad = meta_gradient(loss, lambda w: loss(w, real_images[some], real_labels[some]), weights,
                                                        images, labels, step_sizes)
        torch.nn.utils.clip_grad_norm_([images], 1.0)
        torch.nn.utils.clip_grad_norm_([step_sizes], 1.0)
        optimizer.step()
        step_sizes.data.clamp_(min=0.001)
    return images.detach(), step_sizes.detach()
