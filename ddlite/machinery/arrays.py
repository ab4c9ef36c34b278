"""What arrays a caller may give as images and labels, and the part of them that is set aside to choose by."""

import numpy as np
import torch

from ddlite.machinery.arguments import shown


def tensor_of(array, which):
    """Numbers in any container as a tensor of their own kind, on the CPU; text as a numpy array of strings.

    Tensors may require a gradient, arrays may be big-endian, read-only, reversed, or hold other arrays. `which` is what errors
    call it. Raises ValueError for pictures of several sizes, masked values, and what holds neither numbers nor text.
    """
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        return array.float() if array.dtype == torch.bfloat16 else array  # numpy, and so the fingerprint, does not know it
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(f"{which} is a masked array, and what is masked would be taken for data: fill it or leave it out.")
    if isinstance(array, (list, tuple)) and any(isinstance(one, torch.Tensor) for one in array):
        array = [tensor_of(one, which).numpy() for one in array]
    try:
        array = np.asarray(array)
        array = np.array(array.tolist()) if array.dtype == object else array
    except (ValueError, TypeError) as cause:
        sizes = {np.shape(one) for one in array if hasattr(one, "shape")} if np.iterable(array) else ()
        several = f"pictures of several sizes ({shown(sorted(sizes)[:3])}): bring them to one" if len(sizes) > 1 else \
            f"rows of several lengths, or no numbers ({cause})"
        raise ValueError(f"{which} holds {several}.") from cause
    if array.dtype.kind in "US":
        return array.astype(str)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{which} holds {array.dtype}, no numbers: an array such as numpy.stack(pictures) is needed.")
    kind = np.dtype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
    array = np.ascontiguousarray(array, kind)
    return torch.as_tensor(array if array.flags.writeable else array.copy())


def images_of(array, which):
    """Images (N, C, H, W), float32 in 0..1, of a tensor in any of the forms that `from_arrays` takes."""
    if not isinstance(array, torch.Tensor):
        raise ValueError(f"{which} holds text: the pictures themselves are needed, e.g. numpy.asarray(PIL.Image.open(path)).")
    if array.dim() == 3:
        array = array.unsqueeze(1)
    elif array.dim() == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.permute(0, 3, 1, 2)
    if array.dim() != 4 or array.shape[1] not in (1, 3) or array.numel() == 0:
        raise ValueError(f"{which} has shape {tuple(array.shape)}: expected (N, H, W), (N, H, W, C) or (N, C, H, W) "
                         "with 1 or 3 channels and at least one image.")
    if array.dtype == torch.uint8:
        return array.float().div_(255).contiguous()
    if not array.is_floating_point():
        raise ValueError(f"{which} has type {array.dtype}: expected uint8 grey levels in 0..255 or floats in 0..1. "
                         "Convert it, e.g. x.astype('uint8'), or for 16 bits (x / 65535).astype('float32').")
    array = array.float().contiguous()
    if not torch.isfinite(array).all():
        bad = int((~torch.isfinite(array)).flatten(1).any(1).sum())
        raise ValueError(f"{which}: {bad} images hold NaN or infinity. Remove or repair them.")
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{which} runs from {array.min():.3g} to {array.max():.3g}: floats must be grey levels in 0..1, "
                         "not yet normalised (divide by 255?).")
    return array


def labels_of(array, which):
    """Class numbers (N,), int64, of whole numbers in any type, (N,) or (N, 1), or of one-hot rows (N, classes)."""
    if array.dim() == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if not array.is_floating_point():
        array = array.long()  # of unsigned types, PyTorch compares only bytes
    if array.dim() == 2 and ((array == 0) | (array == 1)).all() and (array.double().sum(1) == 1).all():
        array = array.to(torch.uint8).argmax(1)
    numbers = array.double() if array.is_floating_point() else array
    whole = not array.is_floating_point() or bool((torch.isfinite(numbers) & (numbers == numbers.round())).all())
    if array.dim() != 1 or len(array) == 0 or array.is_complex() or not whole:
        raise ValueError(f"{which} has shape {tuple(array.shape)} and type {array.dtype}: "
                         "expected one integer class number for each image, or a name, or a one-hot row.")
    return array.long().clone()  # the caller may change his own


def named_labels(y_train, y_test, classes):
    """Labels that are names, as class numbers: (y_train, y_test, classes), the classes in sorted order if none are given.

    Raises ValueError where only one part holds names, or for a name that is none of the classes.
    """
    for labels, which in ((y_train, "y_train"), (y_test, "y_test")):
        if isinstance(labels, torch.Tensor):
            other = "y_test" if which == "y_train" else "y_train"
            raise ValueError(f"{other} holds names and {which} numbers: give both the same way, e.g. "
                             "classes, y = numpy.unique(names, return_inverse=True).")
        if labels.ndim != 1 and not (labels.ndim == 2 and labels.shape[1] == 1):
            raise ValueError(f"{which} has shape {labels.shape}: one name for each image is needed.")
    classes = tuple(np.unique(y_train).tolist()) if classes is None else tuple(map(str, classes))
    numbers = {name: k for k, name in enumerate(classes)}
    coded = []
    for labels, which in ((y_train.ravel(), "y_train"), (y_test.ravel(), "y_test")):
        if strangers := sorted(set(labels.tolist()) - set(classes)):
            raise ValueError(f"{which} holds {shown(strangers[0])}, which is none of the classes {shown(classes)}"
                             f"{'' if which == 'y_train' else ' of y_train'}.")
        coded.append(torch.tensor([numbers[name] for name in labels.tolist()]))
    return *coded, classes


def set_aside(labels, number, seed=0):
    """Two stratified parts of the indices of labels (N,): the rest, and `number` set aside, each in random order.

    They are the very indices of scikit-learn's `train_test_split(..., stratify=labels)`, which would take a second and a
    hundred megabytes to import. Unlike there, every class has at least one index in the part set aside.
    """
    random = np.random.RandomState(seed)  # this generator's stream is fixed for ever
    counts = np.bincount(labels)
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    kept = _shares(counts, len(labels) - number, random)
    aside = _shares(counts - kept, number, random)
    none = aside == 0
    kept[none], aside[none] = kept[none] - 1, 1
    mixed = [own[random.permutation(len(own))] for own in by_class]
    parts = (np.concatenate([own[:k] for own, k in zip(mixed, kept)]),
             np.concatenate([own[k:k + n] for own, k, n in zip(mixed, kept, aside)]))
    return tuple(random.permutation(part) for part in parts)


def _shares(counts, wanted, random):
    """How many of each class make `wanted` in all, in proportion; the largest remainders are rounded up, ties by lot."""
    exact = counts / counts.sum() * wanted
    shares = np.floor(exact)
    remainders, missing = exact - shares, int(wanted - shares.sum())
    for value in np.unique(remainders)[::-1]:
        if missing == 0:
            break
        tied = np.flatnonzero(remainders == value)
        chosen = random.choice(tied, size=min(len(tied), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
    return shares.astype(int)
