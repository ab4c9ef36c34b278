"""Ctrl-C and the signals that tell a process to end."""

import contextlib
import signal
import threading


class Ended(KeyboardInterrupt):
    """The process was told to end by a signal."""

    def __init__(self, number):
        super().__init__()
        self.number = number


def ending(number, frame):
    """Handle a signal: end as Ctrl-C does, in words and with the checkpoint written."""
    raise Ended(number)


@contextlib.contextmanager
def handled(handler):
    """Ctrl-C, SIGTERM and SIGHUP go to a handler while this lasts, unless they are ignored (`nohup`)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in signals if signal.getsignal(each) is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, handler)
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, signal.SIG_DFL if old is None else old)


@contextlib.contextmanager
def asked_to_stop():
    """A list of the signals that asked this process to end; the step that it is in is finished first."""
    asked = []
    with handled(lambda number, frame: asked.append(number)):
        yield asked
