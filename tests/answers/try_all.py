"""Try all answers of this folder on the checks of the assignments, each under many teacher's seeds, and print a table.

    python tests/answers/try_all.py --seeds 50 [A1 A2-fair ...]

An answer is tried on the visible check, as students have it, and on the hidden one under every seed. Right answers shall be
refused by neither, wrong ones by one of them at least, with the words that stand in their first line.
"""

import argparse
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
            head = "\n".join(line for line in source.splitlines() if line.startswith(("from ", "import ")))
            found[task], before = (before, solution, HIDDEN.sub("", source), f"{head}\n{hidden}"), []
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
        for source in sources:
            exec(compile(source, "<cell>", "exec"), names)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def tried(path, seeds, only=""):
    """Each answer on the checks of its task: (task, kind, words, visible: what was said, hidden: what was said for each seed).

    The hidden check is asked only where the visible one was content: nobody hands in what the visible check refuses.
    """
    found, names = tasks(path), {}
    given = answers(path.parent.name, {task: parts[1] for task, parts in found.items()})
    for task, (before, solution, visible, hidden) in found.items():
        assert not said(before, names), said(before, names)
        for _, kind, words, code in (one for one in given if one[0] == task and one[0].startswith(only)):
            mine = dict(names)
            refused, later = said([code, visible], mine), []
            for seed in [] if refused else seeds:
                os.environ["DDLITE_TEACHERS_SEED"] = str(seed)
                mine = dict(names)
                later.append(said([code, hidden], mine))
            yield task, kind, words, refused, later
        assert not said([solution], names)


def complaints(results):
    """What is not as it should be, a line each."""
    for task, kind, words, visible, hidden in results:
        refusals = [visible] * bool(visible) + [one for one in hidden if one]
        if kind == "right" and refusals:
            yield f"{task}, right ({words}): refused {len(refusals)} times: {refusals[0]}"
        elif kind == "wrong" and not visible and not all(hidden):
            yield f"{task}, wrong ({words}): accepted under {sum(not one for one in hidden)} of {len(hidden)} seeds"
        elif kind == "wrong" and not all("AssertionError" in one and words in one for one in refusals):
            yield f"{task}, wrong ({words}): told {refusals[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", default=["A"], help="beginnings of their names (all)")
    parser.add_argument("--seeds", type=int, default=50)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("task           right  refused    wrong  by the visible check  by the hidden one  accepted   seconds")
    wanting = []
    for path in sorted(ROOT.glob("notebooks/assignments/source/*/*.ipynb")):
        for only in options.tasks:
            if not path.parent.name.startswith(only.partition("-")[0]):
                continue
            rows, began = {}, time.monotonic()
            for result in tried(path, range(options.seeds), only):
                rows.setdefault(result[0], []).append(result)
                for line in complaints([result]):
                    wanting.append(line)
                    print(f"  ! {line}"[:400], flush=True)
            for task, results in rows.items():
                right, wrong = ([one for one in results if one[1] == kind] for kind in ("right", "wrong"))
                accepted = sum(not one[3] and not all(one[4]) for one in wrong)
                print(f"{task:14}{len(right):6}{sum(bool(one[3] or any(one[4])) for one in right):9}{len(wrong):9}"
                      f"{sum(bool(one[3]) for one in wrong):22}{sum(not one[3] and all(one[4]) for one in wrong):19}"
                      f"{accepted:10}", flush=True)
            print(f"{time.monotonic() - began:94.0f}", flush=True)
    sys.exit(bool(wanting))


if __name__ == "__main__":
    main()
