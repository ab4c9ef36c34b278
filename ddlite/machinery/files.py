"""Files that are whole or not there: atomic writes, tensors as safetensors, manifests as JSON. Nothing is pickled."""

import glob
import hashlib
import json
import os
import platform
import stat
import tempfile
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save


def write_bytes(path, content):
    """Write a file in one piece: whoever opens `path` finds the old content or the new, never half of it.

    Raises OSError with the path and the cause where the folder cannot be written to or the disk is full;
    what stood at `path` before is then still there.
    """
    path = Path(path).expanduser()
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-{os.getpid()}-", suffix=".part",
                                         delete=False) as file:
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


def _sweep(path):
    """Remove what writers of this file left behind that were killed: their parts are named after the process."""
    for part in path.parent.glob(f".{glob.escape(path.name)}-*.part"):
        pid = part.name.removeprefix(f".{path.name}-").split("-")[0]
        if not (pid.isdecimal() and _alive(int(pid))) or time.time() - part.stat().st_mtime > 3600:
            part.unlink(missing_ok=True)


def _alive(pid):
    """Whether a process of this machine runs; on Windows, where asking would disturb it, always."""
    if os.name == "nt" or pid == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_json(path, content):
    """Write a JSON file atomically (see `write_bytes`)."""
    write_bytes(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path):
    """Read a JSON file. Raises ValueError, naming the file, if it is damaged or none, FileNotFoundError if there is none."""
    path = _ordinary(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as cause:
        raise ValueError(f"{path} is no valid JSON ({cause}): remove it and compute it again.") from cause


def save_tensors(path, tensors, metadata):
    """Write named tensors and a JSON-able dict in one safetensors file, atomically, with a checksum over names, too."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)  # not sorted: the order of the weights counts
    write_bytes(path, save(tensors, {"ddlite": text, "checksum2": _checksum(tensors, text, names=True)}))


def load_tensors(path):
    """Read what `save_tensors` wrote: (dict of tensors, metadata dict).

    Files of the first edition have a checksum without names: whoever reads one must know which names to expect.

    Raises FileNotFoundError if there is no such file, ValueError if it is truncated, changed or something else.
    """
    path = _ordinary(path)
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # Copies: what is mapped from the file keeps it open, and Windows would not let it be replaced.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, ValueError, OSError, RuntimeError, MemoryError, KeyError) as cause:
        raise ValueError(f"{path} is truncated or no safetensors file ({cause}): copy or compute it again.") from cause
    if "ddlite" not in header:
        raise ValueError(f"{path} is a safetensors file, but not one that ddlite wrote.")
    names = "checksum2" in header
    if header.get("checksum2" if names else "checksum") != _checksum(tensors, header["ddlite"], names):
        raise ValueError(f"{path} was changed after it was written (its checksum differs): copy or compute it again.")
    try:
        about = json.loads(header["ddlite"])
    except (ValueError, RecursionError) as cause:
        raise ValueError(f"What {path} says of itself cannot be read ({cause}): compute it again.") from cause
    if not isinstance(about, dict):
        raise ValueError(f"{path} is a safetensors file, but not one that ddlite wrote.")
    return tensors, about


def _ordinary(path):
    """The path, if a file can be read there: no folder, no pipe, no device. Raises ValueError, naming it, otherwise."""
    path = Path(path).expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as cause:
        raise FileNotFoundError(f"There is no file {path}.") from cause
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise ValueError(f"{path} is {kind}: the name of a file is needed.")
    return path


def fingerprint(*tensors):
    """Sixteen hexadecimal digits that change when any number, type or shape in the tensors changes."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def fingerprint_of_file(path):
    """Sixteen hexadecimal digits that change when any byte of a file changes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def machine(device="cpu"):
    """What a manifest says about where a number was computed: device, threads, versions."""
    cuda = torch.device(device).type == "cuda"
    return {"device": torch.cuda.get_device_name(device) if cuda else f"{device} ({platform.machine()})",
            "threads": torch.get_num_threads(), "torch": torch.__version__, "python": platform.python_version()}


def _checksum(tensors, text, names):
    words = json.dumps([sorted(tensors), text]) if names else text
    return fingerprint(*(tensors[name] for name in sorted(tensors)), torch.tensor(list(words.encode()), dtype=torch.uint8))
