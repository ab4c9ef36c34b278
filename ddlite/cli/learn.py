"""`distill`, `baselines` and `pretrain`: what makes results, each with a manifest that says how."""

import json
import signal
import time

import torch
from tqdm import tqdm

import ddlite as dd
from ddlite.cli.common import (
    Lines,
    command,
    commit,
    kept,
    locked,
    other_than,
    prepare,
    refuse_to_overwrite,
    starts,
)
from ddlite.cli.signals import Ended, asked_to_stop
from ddlite.machinery import ranks
from ddlite.machinery.files import fingerprint_of_file, machine, write_bytes, write_json


def distill(options):
    """Distil with each seed, then keep the set that is best on the validation images, with a manifest of all seeds."""
    if twice := sorted({seed for seed in options.seeds if options.seeds.count(seed) > 1}):
        raise ValueError(f"--seeds: {', '.join(map(str, twice))} twice, which would count one run as two: name each seed once.")
    settings, data, identity = prepare(options)
    runs, first, output = [], ranks.here()[0] == 0, options.output  # of several processes, the first one writes
    path, manifest = (output.with_name(f"{output.name}.{kind}") for kind in ("safetensors", "json"))
    with locked(output):
        ranks.from_first(lambda: refuse_to_overwrite(manifest, identity, options.force))
        ranks.from_first(lambda: refuse_foreign(options, path, manifest))
        for seed in options.seeds:
            runs.append(one_kept_or_made(options, settings, data, seed, identity, manifest))
        if not first:
            return
        best = max(runs, key=lambda run: run["validation"])
        content = output.with_name(f"{output.name}-seed{best['seed']}.safetensors").read_bytes()
        manifest.unlink(missing_ok=True)  # before the set that it belongs to changes: a manifest never lies
        write_bytes(path, content)
        columns = ("seed", "validation", "test", "std", "min", "max", "before", "class_means", "seconds", "cpu_seconds",
                   "finite", "without_edges", "folded", "shuffled", "redrawn", "from_scratch")
        per_seed = [{**{key: run[key] for key in columns if run.get(key) is not None}, **means_of(run)} for run in runs]
        write_json(manifest, {"command": command(), **best, "measures": rounded(best["measures"]),
                              "chosen": "the seed with the best validation accuracy", "seeds": per_seed})
    tests = [run["test"] for run in runs]
    print(f"{len(runs)} seeds: test mean {sum(tests) / len(tests):.2f}, min {min(tests):.2f}, max {max(tests):.2f} %\n"
          f"chosen on validation: seed {best['seed']}, test {best['test']:.2f} %: {path}")


def refuse_foreign(options, path, manifest):
    """Raise ValueError where a set is there that no run of these seeds has left, unless it may be overwritten."""
    own = (options.output.with_name(f"{options.output.name}-seed{seed}.json") for seed in options.seeds)
    if path.exists() and not options.force and not any(each.exists() for each in (manifest, *own)):
        raise ValueError(f"{path} is there already, without a manifest: choose another --output, or overwrite it with --force.")


def one_kept_or_made(options, settings, data, seed, identity, overall):
    """The results of one seed: those of a finished run of the same settings whose set is still there, or new ones."""
    manifest = options.output.with_name(f"{options.output.name}-seed{seed}.json")
    path, first = manifest.with_suffix(".safetensors"), ranks.here()[0] == 0
    done = ranks.from_first(lambda: finished(manifest, path, identity, options.force))
    if done is None:
        checkpoint = manifest.with_name(f"{manifest.stem}-checkpoint.safetensors")
        if not options.resume and first:
            checkpoint.unlink(missing_ok=True)  # the other processes do not read it
        done = {**identity, "commit": commit(), "machine": machine(options.device),
                **one_seed(settings, data, seed, options, path, checkpoint, stale=(manifest, overall))}
        if first:
            write_json(manifest, {**done, "set": fingerprint_of_file(path)})
            checkpoint.unlink(missing_ok=True)
    spread = f" ± {done['std']:.2f} over {done['networks']} held-out networks" if done["std"] else ""
    print(f"seed {seed}: validation {done['validation']:.2f} %, test {done['test']:.2f}{spread} %", flush=True)
    return {**done, "set": fingerprint_of_file(path)} if first else done


def finished(manifest, path, identity, force):
    """What is kept of a finished run, or None where it is to be computed.

    Raises ValueError where that would overwrite what cannot be made again by the same command.
    """
    if not manifest.is_file():
        return None
    try:
        about = kept(manifest)
    except ValueError:
        if force:
            return None
        raise
    if other_than(identity, about):
        refuse_to_overwrite(manifest, identity, force)
        return None
    if not path.is_file():
        return None  # the set was lost, and is made again
    missing = {"seed", "validation", "test", "std", "networks", "measures"} - set(about)
    if not missing and belongs(path, about):
        return about
    if not force:
        why = f"says nothing of {', '.join(sorted(missing))}" if missing else f"belongs to another set than {path} holds"
        raise ValueError(f"{manifest} {why}: choose another --output, or compute both again with --force.")
    return None


def belongs(path, about):
    """Whether a set is a manifest's: by its fingerprint, or by its step sizes where an earlier version wrote none."""
    if "set" in about:
        return about["set"] == fingerprint_of_file(path)
    try:
        sizes = dd.DistilledSet.load(path).step_sizes.tolist()
    except ValueError:
        return False
    return about.get("step_sizes") == [round(size, 4) for size in sizes]


def rounded(measures):
    """Measures (see `Report`) to two decimals, which is what so many images tell."""
    return measures and {words: [[round(number, 2) for number in one] for one in each] for words, each in measures.items()}


def means_of(run):
    """A run's measures, {words: [mean before, mean after]}, where its goal has any beside the accuracy."""
    found = {words: torch.tensor(each).mean(0).tolist() for words, each in (run["measures"] or {}).items()}
    return {"measures": found} if found else {}


def one_seed(settings, data, seed, options, path, checkpoint, stale):
    """One distillation; saves the best set (with the weights of a fixed start), returns its results.

    Manifests in `stale` belong to an earlier set: they go when the set does.
    """
    states, judge, total, initial = begin(settings, data, seed, options, checkpoint)
    began, first, first_process = (time.monotonic(), time.process_time()), None, ranks.here()[0] == 0
    lines = Lines(f"seed {seed}", total, first_process)
    with asked_to_stop() as asked, tqdm(total=total, desc=f"seed {seed}", unit="step", mininterval=1,
                                        disable=None if first_process else True) as bar:
        try:
            for state in states:
                first = first or state.outer_step
                bar.update(state.outer_step - bar.n)
                lines.tell(state)
                if state.score is not None:
                    bar.set_postfix(validation=f"{state.score:.1f}", best=f"{state.best_score:.1f}")
                if ranks.total(torch.tensor(len(asked))):  # asked of one is asked of all: they leave after the same step
                    states.close()  # writes the checkpoint
                    raise Ended(asked[0] if asked else signal.SIGTERM)
        except dd.Diverged as error:
            if error.state is None or not first_process:
                raise
            save(error.state.best, path, initial, stale)
            raise dd.Diverged(f"{error} It was written to {path}.", error.state) from error
    seconds, best = (time.monotonic() - began[0], time.process_time() - began[1]), state.best
    if first_process:
        save(best, path, initial, stale)
    report, more = judge(best, options.held_out)
    whole = first == 1  # else it was interrupted, and nobody knows how long it took
    return {"seed": seed, "validation": round(state.best_score, 3), "test": report.mean, "std": report.std,
            "min": min(report.final), "max": max(report.final), "interval": report.interval, "before": report.before,
            "networks": len(report.scores), "scores": [round(score, 2) for score in report.final],
            "measures": report.measures, "protocol": report.protocol, "floats": report.floats,
            "gradient_steps": report.gradient_steps, "seconds": round(seconds[0], 1) if whole else None,
            "cpu_seconds": round(seconds[1], 1) if whole else None, **more}


def begin(settings, data, seed, options, checkpoint):
    """One distillation, about to begin: its states, what judges its best set, outer steps, and weights of a fixed start.

    The judge takes the set and a number of held-out networks, and returns a `Report` and what else is to be said.
    """
    if options.method:
        from ddlite.cli import methods  # the gallery is needed by nobody else

        states, judge = methods.METHODS[options.method].run(settings, data, seed)
        return states(checkpoint), judge, settings["outer_steps"], None
    start, goal = starts(settings, data, seed, options.held_out), settings.goal(data)
    fixed = isinstance(start, dd.FixedStart)

    def judge(best, held_out):
        report = dd.evaluate(best, start.networks("held-out", held_out), goal, data.test,
                             [best.passes] if settings.start == "random" else None)
        more = {"step_sizes": [round(size, 4) for size in best.step_sizes.tolist()],
                "momentum": None if best.momentum is None else round(best.momentum.item(), 4)}
        if fixed:
            means = dd.baselines.class_means(data, settings.batches, settings.passes)
            means, _ = dd.baselines.with_best_step_size(means, start, goal)
            more["class_means"] = dd.evaluate(means, start.networks(), goal, data.test, [means.passes]).mean
        return report, more

    states = dd.distill(settings.noise(data, seed), start, goal, seed=seed, engine=options.engine, checkpoint=checkpoint,
                        **settings.outer())
    return states, judge, settings.outer_steps, list(start.network.parameters()) if fixed else None


def save(dset, path, initial, stale):
    """Write a set, after the manifests of the set that it replaces are gone."""
    for manifest in stale:
        manifest.unlink(missing_ok=True)
    dset.save(path, initial) if initial else dset.save(path)


def compare_baselines(options):
    """All baselines, each with its own best step size and 1, 3 or 5 passes, on the held-out networks, with a manifest."""
    with locked(options.output):
        write_baselines(options)


def write_baselines(options):
    """The same, while no other process writes there."""
    settings, data, identity = prepare(options)
    manifest = options.output.with_name(f"{options.output.name}.json")
    identity = {**identity, "epochs": options.epochs}
    refuse_to_overwrite(manifest, identity, options.force)
    if options.method:
        from ddlite.cli import methods  # the gallery is needed by nobody else

        found = methods.METHODS[options.method].baselines(settings, data, options.held_out, options.epochs)
    else:
        start = starts(settings, data, 0, options.held_out)
        found = dd.baselines.table(settings.goal(data), start, round(settings.images_per_class_and_batch), settings.batches,
                                   networks=options.held_out, epochs=options.epochs)
    rows, about = {}, {"command": command(), **identity, "commit": commit(), "machine": machine(options.device)}
    with tqdm(desc="baselines", disable=None) as bar:
        for name, report in found:
            rows[name] = {**report.to_dict(), "text": str(report)}
            write_json(manifest, {**about, "rows": rows})  # each may take long
            bar.update()
            print(f"{name:20}{report}", flush=True)


def pretrain(options):
    """Fill the training pool of a profile, and score its networks on test images of what they were trained on."""
    settings, data, _ = prepare(options)
    if settings.start != "pool" or settings.known:
        raise ValueError("These settings have no pool of networks: take a profile of adaptation or attack that has one.")
    start = settings.starts(data, 0, folder=dd.data.data_root() / "pools")
    with locked(options.output):
        score_pool(options, start)


def score_pool(options, start):
    """Fill a pool, and write what its networks are worth."""
    manifest = options.output.with_name(f"{options.output.name}.json")
    pool = json.loads(json.dumps(start.describe()))  # as a manifest keeps it
    ranks.from_first(lambda: refuse_to_overwrite(manifest, {"pool": pool}, options.force))
    start.fill()
    if ranks.here()[0] == 0:
        scores = [dd.accuracy(network, start.source.test) for network in start.networks("training", start.size)]
        write_json(manifest, {
            "command": command(), "pool": pool, "test": sum(scores) / len(scores), "scores": scores,
            "commit": commit(), "machine": machine(options.device)})
        print(f"{start.size} networks, test accuracy on {start.source.name}: mean {sum(scores) / len(scores):.2f}, "
              f"min {min(scores):.2f}, max {max(scores):.2f} %\n{start.folder}")
