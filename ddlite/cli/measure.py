"""`bench`: speed and memory, as ratios to the plain way."""

import torch

from ddlite.cli import bench, wait
from ddlite.cli.common import command, commit
from ddlite.machinery.files import machine, write_json


def measure_speed(options):
    """Print the benchmark's rows as they come, and write them as JSON where asked."""
    configs = list(bench.CONFIGS) if options.configs is None else options.configs
    goals = options.goals or list(wait.GOALS)
    for kind, asked, known in (("configuration", configs, bench.CONFIGS), ("goal", goals, wait.GOALS)):
        if unknown := [one for one in asked if one not in known]:
            raise ValueError(f"There is no {kind} {unknown[0]}. Known: {', '.join(map(str, known))}.")
    rows = []

    def keep(row):
        rows.append(row)
        if options.json:  # after each: they may take long
            write_json(options.json, {"command": command(), "commit": commit(), "machine": machine(options.device),
                                      "rows": rows})

    print(f"{'config':28}{'plain':>12}{'ddlite':>12}{'speedup':>9}{'plain':>12}{'ddlite':>12}")
    for row in bench.rows(configs, options.repeats, options.device):
        memory = "".join(f"{row[way]:8.0f} MiB" for way in ("plain_mb", "ddlite_mb") if way in row)
        print(f"{row['config']:28}{row['plain_s']:10.3f} s{row['ddlite_s']:10.3f} s{row['speedup']:8.2f}x{memory}")
        if "plain_over_real" in row:
            print(f"    the plain way takes {row['plain_over_real']:.2f} x its own part on the real batch")
        if "eager_s" in row:
            print(f"    ddlite's way without a CUDA graph: {row['eager_s']:.3f} s")
            print(f"    its meta-gradient is {row['from_cpu']:.0e} of its size from a CPU's")
        if "two_processes_s" in row:
            faster = row["plain_s"] / row["two_processes_s"]
            together = f", {row['two_processes_mb']:.0f} MiB" if "two_processes_mb" in row else ""
            print(f"    two processes of one thread each: {row['two_processes_s']:.3f} s, {faster:.2f}x{together}")
        keep(row)
    if growth := bench.growth(rows):
        print(f"memory grows by {growth:.2f} x the size of the weights with each gradient step (T=100 to T=300)")
    for seed in range(wait.FIRST_SEED, wait.FIRST_SEED + options.time_to_accuracy):
        taken, best = wait.time_to_accuracy(seed, goals, options.device)
        for goal, seconds in taken.items():
            keep({"config": "time to accuracy", "goal": goal, "outer_steps": wait.OUTER_STEPS, "seed": seed,
                  "seconds": seconds, "best": best, "threads": torch.get_num_threads()})
            after = f"after {seconds:.0f} s" if seconds else f"not reached (best {best:.1f} %)"
            print(f"ten MNIST images, seed {seed}: {goal} % of validation images {after}", flush=True)
