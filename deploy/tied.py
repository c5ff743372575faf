"""Runs a program that must not outlive its parent (python -m deploy.tied SIGNAL PROGRAM [ARGUMENT ...]).

Without it a kill -9 of the supervisor, or of `make run`, would leave the others running. SIGNAL is
what the program then gets: TERM or KILL.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    if sys.platform == "linux":  # no other system offers this
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.Signals[f"SIG{sys.argv[1]}"])
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
