"""Try all answers of this folder on the checks of the assignments, each under many teacher's seeds, and print a table.

    python tests/answers/try_all.py --seeds 50 --log tried.jsonl [A1 A2-fair ...]
    python tests/answers/try_all.py --seeds 200 --right --log right.jsonl        # right answers alone

An answer is tried on the visible check, as students have it, and on the hidden one under every seed. Right answers shall be
refused by neither. Wrong ones shall be refused by one of them at least, with the words that stand in their first line, and by
the hidden one under every seed. With --log each answer is noted as it is tried, and is not tried again until it, its notebook
or its check has changed.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import sys
import time
import warnings
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS\n(.*?)### END HIDDEN TESTS\n", re.DOTALL)


def tasks(path):
    """An assignment by task: {grade_id: (code before it, solution, visible check, hidden check)}, in order.

    The checks are without what is shown after them.
    """
    before, found, task = [], {}, None
    for cell in (cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"):
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            task, solution = about["grade_id"], cell.source
        elif about.get("grade"):
            source = cell.source[: re.search(r'^print\(f?"Task', cell.source, re.MULTILINE).start()]
            [hidden] = HIDDEN.findall(source)
            found[task], before = (before, solution, HIDDEN.sub("", source), hidden), []
        else:
            before.append(cell.source)
    return found


def answers(assignment, solutions):
    """What students hand in: (task, "right" or "wrong", words, code); wrong ones with the words that they shall be told.

    An answer is code, or an edit of the teacher's solution: lines that begin with #- and #+, what stands there and what
    stands there instead.
    """
    text, found = (Path(__file__).parent / f"{assignment}.py").read_text(encoding="utf-8"), []
    for block in text.split("# %% ")[1:]:
        head, _, code = block.partition("\n")
        task, kind, words = re.match(r"(\S+) (right|wrong): (.+)", head).groups()
        if "#- " in code:
            edits, code = re.findall(r"^#- (.*)\n((?:#\+.*\n?)*)", code, re.MULTILINE), solutions[task]
            for old, new in edits:
                assert old in code, f"{task}: no {old!r} in the solution"
                code = code.replace(old, "\n".join(line[3:] for line in new.splitlines()))
        found.append((task, kind, words, code))
    return found


def said(sources, names):
    """What running these sources brings to light: "" or the error."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            for source in sources:
                exec(compile(source, "<cell>", "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def tried(path, seeds, only="", kinds=("right", "wrong"), thorough=False, known=None):
    """Each answer on the checks of its task: (task, kind, words, visible: what was said, hidden: what was said for each seed).

    Args:
        path: the assignment's notebook. only: the beginning of a task's name. kinds: of answers.
        seeds: the teacher's; an iterator gives each answer some of its own.
        thorough: the hidden check is asked about every answer; else only where the visible one was content, as nobody hands
            in what the visible check refuses.
        known: {key: (visible, hidden)}, results that need not be found again; new ones are put in.
    """
    found, names, known = tasks(path), {}, {} if known is None else known
    given = answers(path.parent.name, {task: parts[1] for task, parts in found.items()})
    for task, (before, solution, visible, hidden) in found.items():
        assert not said(before, names), said(before, names)
        mine = [("right", "the solution", solution), *(one[1:] for one in given if one[0] == task)]
        for kind, words, code in (one for one in mine if task.startswith(only) and one[0] in kinds):
            own = seeds if isinstance(seeds, (list, tuple, range)) else next(seeds)
            key = _key(path, hidden, code, list(own), thorough)
            if key not in known:
                refused, later = said([code, visible], dict(names)), []
                for seed in () if refused and not thorough else own:
                    os.environ["DDLITE_TEACHERS_SEED"] = str(seed)
                    later.append(said([code, hidden], dict(names)))
                known[key] = refused, later
            yield task, kind, words, *known[key]
        assert not said([solution], names)


def _key(path, hidden, *more):
    """Something that changes with an answer, its notebook and its check."""
    course = ROOT / "ddlite" / "course"
    used = ["checks", "witness", "tables", *re.findall(r"\b(a\d\w*)\.", hidden)]
    parts = [hidden, *(repr(one) for one in more), *((course / f"{name}.py").read_text(encoding="utf-8") for name in used),
             *(cell.source for cell in nbformat.read(path, 4).cells if "-given-" in str(cell.metadata))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Log(dict):
    """Results by key, a line of JSON each in a file."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        if path and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            self.update({line["key"]: (line["visible"], line["hidden"]) for line in map(json.loads, lines)})

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "visible": value[0], "hidden": value[1]}) + "\n")


def complaints(results):
    """What is not as it should be, a line each."""
    for task, kind, words, visible, hidden in results:
        refusals = [visible] * bool(visible) + [one for one in hidden if one]
        if kind == "right" and refusals:
            yield f"{task}, right ({words}): refused {len(refusals)} times: {refusals[0]}"
        elif kind == "wrong" and not (visible and not hidden) and not all(hidden):
            yield f"{task}, wrong ({words}): accepted under {sum(not one for one in hidden)} of {len(hidden)} seeds" + (
                ", but not by the visible check" if visible else "")
        elif kind == "wrong" and words not in refusals[0]:
            yield f"{task}, wrong ({words}): told {refusals[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=["A"], help="beginnings of their names (all)")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--right", action="store_true", help="right answers alone")
    parser.add_argument("--thorough", action="store_true", help="ask the hidden check about what the visible one refuses, too")
    parser.add_argument("--log", type=Path, help="a file of results, which is added to")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("task           right    runs  refused    wrong  by the visible check  by the hidden one  accepted   seconds")
    wanting, known, seeds = [], Log(options.log), list(range(options.first, options.first + options.seeds))
    kinds = ("right",) if options.right else ("right", "wrong")
    for path in sorted(ROOT.glob("notebooks/assignments/source/*/*.ipynb")):
        for only in options.tasks:
            if not path.parent.name.startswith(only.partition("-")[0]):
                continue
            rows, began = {}, time.monotonic()
            for result in tried(path, seeds, only, kinds, options.thorough, known):
                rows.setdefault(result[0], []).append(result)
                for line in complaints([result]):
                    wanting.append(line)
                    print(f"  ! {line}"[:400], flush=True)
            for task, results in rows.items():
                right, wrong = ([one for one in results if one[1] == kind] for kind in ("right", "wrong"))
                runs = [said for *_, visible, hidden in right for said in (visible, *hidden)]
                accepted = sum(not one[3] and not all(one[4]) for one in wrong)
                print(f"{task:14}{len(right):6}{len(runs):8}{sum(map(bool, runs)):9}{len(wrong):9}"
                      f"{sum(bool(one[3]) for one in wrong):22}{sum(not one[3] and all(one[4]) for one in wrong):19}"
                      f"{accepted:10}", flush=True)
            print(f"{time.monotonic() - began:102.0f}", flush=True)
    sys.exit(bool(wanting))


if __name__ == "__main__":
    main()
