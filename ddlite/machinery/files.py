"""Files that are whole or not there: atomic writes, tensors as safetensors, manifests as JSON. Nothing is pickled."""

import hashlib
import json
import os
import platform
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save


def write_bytes(path, content):
    """Write a file in one piece: whoever opens `path` finds the old content or the new, never half of it.

    Raises OSError with the path and the cause where the folder cannot be written to or the disk is full;
    what stood at `path` before is then still there.
    """
    path = Path(path)
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", suffix=".part", delete=False) as file:
            part = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(part, 0o666 & ~umask)  # temporary files are private; a result is readable as any other file
        os.replace(part, path)
    except OSError as cause:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise OSError(cause.errno, f"{path} was not written ({cause.strerror}): "
                                   "choose another folder or make room; nothing was changed") from cause


def write_json(path, content):
    """Write a JSON file atomically (see `write_bytes`)."""
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path):
    """Read a JSON file. Raises ValueError, naming the file, if it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as cause:
        raise ValueError(f"{path} is no valid JSON ({cause}): remove it and compute it again.") from cause


def save_tensors(path, tensors, metadata):
    """Write named tensors and a JSON-able dict in one safetensors file, atomically, with a checksum of both."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)  # not sorted: the order of the weights counts
    write_bytes(path, save(tensors, {"ddlite": text, "checksum": _checksum(tensors, text)}))


def load_tensors(path):
    """Read what `save_tensors` wrote: (dict of tensors, metadata dict).

    Raises FileNotFoundError if there is no such file, ValueError if it is truncated, changed or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # Copies: what is mapped from the file keeps it open, and Windows would not let it be replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, ValueError, OSError) as cause:
        raise ValueError(f"{path} is truncated or no safetensors file ({cause}): copy or compute it again.") from cause
    if "ddlite" not in header:
        raise ValueError(f"{path} is a safetensors file, but not one that ddlite wrote.")
    if header.get("checksum") != _checksum(tensors, header["ddlite"]):
        raise ValueError(f"{path} was changed after it was written (its checksum differs): copy or compute it again.")
    return tensors, json.loads(header["ddlite"])


def fingerprint(*tensors):
    """Sixteen hexadecimal digits that change when any number, type or shape in the tensors changes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def machine(device="cpu"):
    """What a manifest says about where a number was computed: device, threads, versions."""
    cuda = torch.device(device).type == "cuda"
    return {"device": torch.cuda.get_device_name(device) if cuda else f"{device} ({platform.machine()})",
            "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}


def _checksum(tensors, text):
    return fingerprint(*(tensors[name] for name in sorted(tensors)), torch.tensor(list(text.encode()), dtype=torch.uint8))
