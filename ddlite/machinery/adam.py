"""Adam, written out: the first step of a `torch.optim` optimiser imports PyTorch's compiler, which takes seconds and a quarter
of the memory of a small notebook."""

BETAS = 0.5, 0.999  # of the paper's code


def update(gradient, first, second, number, rate):
    """What Adam subtracts from a tensor at its step `number`, counted from 1 (Kingma and Ba 2015, algorithm 1).

    `first` and `second`, the running means of gradients and of their squares (zeros to begin with), are changed in place.
    """
    beta, beta2 = BETAS
    first.lerp_(gradient, 1 - beta)
    second.lerp_(gradient**2, 1 - beta2)
    return rate * (first / (1 - beta**number)) / ((second / (1 - beta2**number)).sqrt() + 1e-8)
