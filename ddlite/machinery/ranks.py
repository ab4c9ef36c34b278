"""Several processes, as `torchrun` starts them: each takes its share of the networks, and sums are taken over all of them.

In a single process nothing here does anything. Every process ("rank") holds the same distilled set and takes the same outer
steps; what they add up is the same in all of them to the bit, so that they stay together. Rank 0 alone writes and speaks.
"""

import contextlib
import os
import socket
import sys
import tempfile
from pathlib import Path

from torch import cuda, distributed

AWAY = ("Another process of this run has ended, and so does this one. What was checkpointed is safe: the same command goes on "
        "from there.")


def here():
    """(the number of this process, how many there are); (0, 1) unless `torch.distributed` was initialised."""
    together = distributed.is_available() and distributed.is_initialized()
    return (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)


@contextlib.contextmanager
def joined(device):
    """While this lasts, the processes that `torchrun` started work together (gloo on CPUs, NCCL on GPUs).

    Gives the device for this process: with "cuda", each has a GPU of its own.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield device
        return
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    gpu = device == "cuda" and cuda.is_available()
    if gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", **_local_store())
    alone = False
    try:
        yield device
    except ConnectionError:  # nobody is left to take leave of, which can take longer than torchrun waits before it kills
        alone = True
        raise
    finally:
        if not alone:
            distributed.destroy_process_group()


def launch(processes, words):
    """Become `torchrun` with so many processes of `ddlite WORDS` on this machine; this call does not return.

    They meet through a file, so that nothing listens to other machines (`torchrun` by itself opens a port on all interfaces).
    """
    meeting = Path(tempfile.mkdtemp(prefix="ddlite-")) / "meeting"
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    how = ["--nproc-per-node", str(processes), "--rdzv-backend", "c10d", "--rdzv-conf", "store_type=file", "--rdzv-endpoint",
           str(meeting), "--local-addr", "127.0.0.1", "-m", "--", "ddlite"]
    os.execve(sys.executable, [sys.executable, "-m", "torch.distributed.run", *how, *words], environment)


def _local_store():
    """Where the processes of one machine meet, as keywords: a port that is open to this machine alone.

    Nothing where `torchrun` has opened one already, or where there are several machines.
    """
    alone = os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]
    if not alone or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return {}
    rank, size, port = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
    listening = socket.create_server(("127.0.0.1", port)).detach() if rank == 0 else None
    store = distributed.TCPStore("127.0.0.1", port, size, is_master=rank == 0, master_listen_fd=listening)
    return {"store": store, "rank": rank, "world_size": size}


def share(items):
    """This process's share of a sequence: every n-th item, each fetched when it is its turn."""
    rank, ranks = here()
    return items if ranks == 1 else (items[i] for i in range(rank, len(items), ranks))


def total(tensor):
    """The sum of a tensor over all processes, in all of them.

    Raises ConnectionError if one of them has ended (gloo; NCCL ends this one too, after its time limit).
    """
    if here()[1] == 1:
        return tensor
    tensor = tensor.clone()
    with _all_present():
        distributed.all_reduce(tensor)
    return tensor


def from_first(make):
    """What the first process makes, in all of them: they may run on machines that share no disk. Raises what it raised."""
    if here()[1] == 1:
        return make()
    made = [None, None]
    if here()[0] == 0:
        try:
            made[0] = make()
        except (ValueError, OSError) as cause:
            made[1] = cause
    with _all_present():
        distributed.broadcast_object_list(made)
    if made[1] is not None:
        raise made[1]
    return made[0]


def gathered(items):
    """The items of all processes, in the order of the sequence of which each had its `share`; likewise."""
    ranks = here()[1]
    if ranks == 1:
        return items
    parts = [None] * ranks
    with _all_present():
        distributed.all_gather_object(parts, items)
    return [parts[i % ranks][i // ranks] for i in range(sum(map(len, parts)))]


@contextlib.contextmanager
def _all_present():
    try:
        yield
    except RuntimeError as cause:  # gloo's and NCCL's only word for a lost connection
        raise ConnectionError(AWAY) from cause
