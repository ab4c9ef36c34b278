"""How many threads to compute with: one, unless somebody asks for more.

The nets here are small, and PyTorch's threads wait for each other many thousand times a second. Where a core is taken by other
work, two threads on two cores can be forty times slower than one. On a quiet machine they gain at most three quarters.
"""

import os
import time
import warnings
from pathlib import Path

import torch

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of computing, in each period of so many microseconds


def settle(asked: int | None = None) -> None:
    """Compute with as many threads as were asked for, by an option or by OMP_NUM_THREADS, else with one."""
    if asked is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(asked or 1)


def cores() -> int:
    """How many cores this process may use: all that it sees, unless a container (Binder, a hub) grants it fewer."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, period = map(int, QUOTA.read_text(encoding="ascii").split())
        return min(seen, max(1, granted // period))
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number; elsewhere than on Linux there is no such file
        return seen


def others(looks: int = 5) -> int | None:
    """How many threads of other work run on this machine, the least of a few looks; None where it is not Linux, which tells."""
    least = None
    for _ in range(looks):
        time.sleep(0.002)  # PyTorch's own threads go on spinning for a moment after each operation
        try:
            with open("/proc/loadavg", encoding="ascii") as file:
                running = int(file.read().split()[3].split("/")[0]) - 1  # less this one
        except (OSError, ValueError, IndexError):
            return None
        least = running if least is None else min(least, running)
        if least <= 0:
            break
    return least


def warn_if_crowded() -> None:
    """Warn, with the way out, where several threads are in use and not each of them has a core of its own.

    The words are always the same, so that Python shows them once and not at each look.
    """
    threads, there = torch.get_num_threads(), os.cpu_count() or 1
    if threads == 1:
        return
    if threads > cores():
        why = f"this process may use {cores()} of the machine's {there} cores"
    elif threads + (others() or 0) > there:
        why = f"other work takes some of the machine's {there} cores"
    else:
        return
    warnings.warn(f"PyTorch computes with {threads} threads, and {why}. Threads that wait for each other can make this many "
                  "times slower: call torch.set_num_threads(1), which helps at once.", stacklevel=3)
