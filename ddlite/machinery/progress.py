"""Progress of what turns out to take long."""

import time

AFTER = 2  # seconds


def slowly(things, words, shown=True):
    """The things, one after the other, with a progress bar once that has taken two seconds; it leaves nothing behind.

    (In a notebook tqdm makes its widgets at once, even for a bar that is never shown, and closes the outermost alone.)
    """
    bar, began = None, time.monotonic()
    try:
        for number, thing in enumerate(things):
            if shown and bar is None and time.monotonic() - began > AFTER:
                from tqdm.auto import tqdm

                bar = tqdm(total=len(things), initial=number, desc=words, leave=False)
            elif bar is not None:
                bar.update()
            yield thing
    finally:
        if bar is not None:
            parts = getattr(getattr(bar, "container", None), "children", ())
            bar.close()
            for part in parts:
                part.close()
