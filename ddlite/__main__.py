"""`python -m ddlite`: the command line, as `ddlite` alone."""

import os
import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # until `main` has handlers of its own

from ddlite.cli.main import main

if __name__ == "__main__":
    main()
