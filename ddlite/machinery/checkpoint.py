"""A distillation that can be killed: all that its next step depends on, in one file that is whole or not there."""

from dataclasses import dataclass
from pathlib import Path

from ddlite.machinery import ranks
from ddlite.machinery.files import load_tensors, save_tensors

FORMAT = 1
LATER = ("engine", "threads")  # of these, checkpoints of the first edition say nothing


@dataclass(frozen=True)
class Found:
    """What a checkpoint holds: `tensors` named "part.name", the last outer step, its loss, the best validation score so far."""

    tensors: dict
    outer_step: int
    loss: float
    best_score: float

    def part(self, part):
        """{name: tensor} of one part: "best", "free", "mean", "first" or "second"."""
        return {name.removeprefix(f"{part}."): tensor for name, tensor in self.tensors.items() if name.startswith(f"{part}.")}


class Checkpoint:
    """Where a distillation is kept, and how often.

    Args:
        path: of the file.
        every: outer steps between two writes.
        identity: a JSON-able dict of all that decides the result; only the same distillation goes on from the file.
    """

    def __init__(self, path, every, identity):
        self.path, self.every, self.identity = Path(path).expanduser(), every, identity

    def read(self):
        """What the file holds (`Found`), or None if there is no such file.

        Raises ValueError for a damaged file, one of another version, or one of another distillation, naming the difference.
        """
        if not self.path.exists():
            return None
        try:
            return self._read()
        except (KeyError, TypeError, AttributeError) as cause:
            raise ValueError(f"{self.path} is no checkpoint: what it says of itself is incomplete ({cause!r}). Remove it to "
                             "begin anew.") from cause

    def _read(self):
        tensors, about = load_tensors(self.path)
        if about.get("checkpoint") != FORMAT:
            raise ValueError(f"{self.path} is no checkpoint that this ddlite can read (version {about.get('checkpoint')}, "
                             f"known: {FORMAT}): remove it to begin anew.")
        other = [f"{key} {about['identity'].get(key)!r} there, {value!r} here" if not isinstance(value, dict) else key
                 for key, value in self.identity.items() if about["identity"].get(key) != value
                 and (key in about["identity"] or key not in LATER)]
        if other:
            raise ValueError(f"{self.path} belongs to another distillation ({'; '.join(other)}): use the same settings, "
                             "another file, or remove it to begin anew.")
        if "batches" not in tensors:
            raise ValueError(f"{self.path} was changed after it was written: remove it to begin anew.")
        return Found(tensors, about["outer_step"], about["loss"], about["best_score"])

    def write(self, state, learned, batches):
        """Keep where a distillation stands: its last `State`, the learned numbers, the generator of real batches.

        Of several processes, the first one writes.
        """
        if ranks.here()[0] > 0:
            return
        tensors = {"batches": batches.get_state()}
        for part, members in {**learned.parts(), "best": state.best.tensors()}.items():
            tensors |= {f"{part}.{name}": tensor for name, tensor in members.items()}
        save_tensors(self.path, tensors, {"checkpoint": FORMAT, "identity": self.identity, "outer_step": state.outer_step,
                                          "loss": state.loss, "best_score": state.best_score})
