"""How many threads to compute with: one, unless somebody asks for more.

The nets here are small, and PyTorch's threads wait for each other many thousand times a second. Where a core is taken by other
work, two threads on two cores can be forty times slower than one. On a quiet machine they gain at most three quarters.
"""

import os
import time
import warnings

import torch


def settle(asked=None):
    """Compute with as many threads as were asked for, by an option or by OMP_NUM_THREADS, else with one."""
    if asked is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(asked or 1)


def others(samples=5):
    """How many threads of other work run on this machine now, or None where the system does not tell (it is not Linux)."""
    running = []
    for _ in range(samples):
        try:
            with open("/proc/loadavg", encoding="ascii") as file:
                running.append(int(file.read().split()[3].split("/")[0]) - 1)  # less this one
        except (OSError, ValueError, IndexError):
            return None
        time.sleep(0.01)
    return sorted(running)[samples // 2]


def warn_if_crowded():
    """Warn, with the way out, where several threads are to be used and other work leaves no core for some of them."""
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    if threads > 1 and (busy := others()) and threads + busy > cores:
        warnings.warn(f"PyTorch computes with {threads} threads, and {busy} other thread(s) are at work on the {cores} cores "
                      "of this machine. Threads that wait for each other can make this many times slower: call "
                      "torch.set_num_threads(1) first.", stacklevel=3)
