"""`queue`: long commands one after another, for a night or a week. What is finished is kept, what was interrupted goes on."""

import contextlib
import io
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from ddlite.cli.parser import parser

COMMANDS = ("distill", "baselines", "pretrain", "evaluate")  # those that end by themselves, and may take hours


def queue(options):
    """Run each line of a file as a command; a line that fails ends with its own words, and the next one begins.

    Raises ValueError for a file that holds no command, or a line that is none, before anything is run, and at the end if some
    failed.
    """
    lines, failed = planned(options.file), []
    if hasattr(os, "nice"):
        os.nice(options.nice)
    for number, words in enumerate(lines, start=1):
        began = time.monotonic()
        print(f"{number} of {len(lines)}: ddlite {shlex.join(words)}", flush=True)
        with subprocess.Popen([sys.executable, "-m", "ddlite", *words], start_new_session=True) as process:
            with contextlib.suppress(OSError):  # Linux divides the processor among sessions first: niceness is of each, too
                Path(f"/proc/{process.pid}/autogroup").write_text(str(options.nice))
            try:
                code = process.wait()
            except BaseException:  # asked to end: so is the command, which writes its checkpoint first
                process.terminate()
                process.wait()
                raise
        if code:
            failed.append(f"line {number} ended with {code} after {time.monotonic() - began:.0f} s")
    if failed:
        raise ValueError(f"{len(failed)} of {len(lines)} commands failed: {'; '.join(failed)}. The same queue tries them "
                         "again.")


def planned(path):
    """The commands of a file, a list of words for each line; empty lines and what follows a # are nobody's."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as cause:
        raise ValueError(f"{path} cannot be read as a list of commands ({cause}): write one command to a line, such as distill "
                         "--output runs/first.") from cause
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as cause:
            raise ValueError(f"{path}, line {number}: {cause}.") from cause
        words = words[words[:1] == ["ddlite"]:]
        if words:
            lines.append(_checked(path, number, words))
    if not lines:
        raise ValueError(f"{path} holds no command: write one to a line, such as distill --output runs/first.")
    return lines


def _checked(path, number, words):
    if words[0] not in COMMANDS:
        raise ValueError(f"{path}, line {number}: {words[0]!r} cannot stand in a queue. These can: {', '.join(COMMANDS)}.")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser().parse_args(words)
    except SystemExit as cause:
        raise ValueError(f"{path}, line {number}: {said.getvalue().strip().splitlines()[-1]}") from cause
    return words
