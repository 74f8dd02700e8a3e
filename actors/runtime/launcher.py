"""Run a command that dies with its parent, where util-linux's `setpriv` is missing: launcher.py COMMAND [ARG...].

Started with `python -I -S`, so that it costs as little as an interpreter can.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvpe(sys.argv[1], sys.argv[1:], os.environ)
    except OSError as error:
        sys.exit(f"exec: {sys.argv[1]!r}: {error.strerror}")
