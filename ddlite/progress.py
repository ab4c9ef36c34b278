"""What a loop that is written in the open needs beside its idea: looks at validation, the best so far, a checkpoint."""

from functools import partial

import torch

from ddlite.distill import State
from ddlite.learned import Diverged
from ddlite.machinery.checkpoint import Checkpoint


class Progress:
    """How far a loop has come. A method that is no start, goal or storage for `distill` writes

        with Progress(...) as progress:
            for outer_step in progress:
                ...                                               # one update of what is learned
                yield progress.state(outer_step, loss, current)

    A ValueError in a later step becomes a `Diverged` with the last good state.

    Args:
        first: what is learned, before any step: a `DistilledSet`, or what has its `tensors` and `with_tensors`.
        score: `score(it)`, a validation score in percent; looked at every `validate_every` steps and after the last.
        outer_steps, validate_every: as for `distill`.
        words: what is scored and what the loss is, in words.
        learners: {name: `Adam`}, all that the next step depends on.
        generator: of what is drawn at random, a `torch.Generator`.
        checkpoint: a file to go on from, written every `checkpoint_every` steps and when the loop is left; None for none.
        identity: a JSON-able dict of all that decides the result; only the same loop goes on from the file.
    """

    def __init__(self, first, score, outer_steps, validate_every, words, learners, generator, checkpoint=None, identity=None,
                 checkpoint_every=100):
        self.best, self._score, self.outer_steps, self._every = first, score, outer_steps, validate_every
        self.words, self._learners, self._generator, self._state = words, learners, generator, None
        self._keep = checkpoint and Checkpoint(checkpoint, checkpoint_every, {
            **identity, "outer_steps": outer_steps, "validate_every": validate_every, "threads": torch.get_num_threads()})
        found = self._keep and self._keep.read()
        self.done = found.outer_step if found else 0
        if not found:
            self.best_score = score(first)
            return
        try:
            self.best, self.best_score = first.with_tensors(found.part("best")), found.best_score
            for name, learner in learners.items():
                learner.restore(found.part(name))
            generator.set_state(found.tensors["batches"])
        except (KeyError, RuntimeError, TypeError) as cause:
            raise ValueError(f"{self._keep.path} lacks numbers of this distillation ({str(cause).splitlines()[0]}): remove it "
                             "to begin anew.") from cause

    def __iter__(self):
        return iter(range(self.done + 1, self.outer_steps + 1))

    def check(self, outer_step, loss):
        """Raise `Diverged`, with the last good state, if the loss is NaN or infinite, or what learns is."""
        if not (loss.isfinite() and all(learner.finite() for learner in self._learners.values())):
            raise Diverged(f"Distillation diverged at outer step {outer_step}: loss {loss.item():.3g}. "
                           f"{'The last good set is in state.best of this exception. ' if self._state else ''}"
                           "Try a smaller learning_rate.", self._state)

    def state(self, outer_step, loss, current):
        """The `State` after an outer step; `current()` makes what is learned as it is now. Raises as `check` does."""
        self.check(outer_step, loss)
        now, score = current(), None
        if outer_step % self._every == 0 or outer_step == self.outer_steps:
            score = self._score(now)
            if score > self.best_score:
                self.best, self.best_score = now, score
        self._state = State(outer_step, self.outer_steps, score, self.best, self.best_score, *self.words, loss.detach(),
                            partial(_same, now))
        if self._keep and (outer_step % self._keep.every == 0 or outer_step == self.outer_steps):
            self._write()
        return self._state

    def parts(self):
        """All that the next step depends on, for `Checkpoint.write`."""
        return {name: learner.parts() for name, learner in self._learners.items()}

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is GeneratorExit and self._keep and self._state:  # the loop was left between two steps
            self._write()
        if kind is ValueError and self._state:  # a kernel that became singular, say
            raise Diverged(f"{error} The last good set is in state.best of this exception.", self._state) from error

    def _write(self):
        self._keep.write(self._state, self, self._generator)


def _same(it):
    return it
