"""Runs a program that must not outlive its parent (python -m deploy.tied PROGRAM [ARGUMENT ...]).

Without it a kill -9 of the supervisor, or of `make run`, would leave the others running.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    if sys.platform == "linux":  # no other system offers this
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
