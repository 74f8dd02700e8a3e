"""Run a command that dies with its parent: launcher.py [--terminal] COMMAND [ARG...].

Used where util-linux's `setpriv` is missing, and for commands whose standard input is to be their terminal.

Started with `python -I -S`, so that it costs as little as an interpreter can.
"""

import ctypes
import fcntl
import os
import signal
import sys
import termios

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)
    command = sys.argv[1:]
    if command[0] == "--terminal":
        del command[0]
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    try:
        os.execvpe(command[0], command, os.environ)
    except OSError as error:
        sys.exit(f"exec: {command[0]!r}: {error.strerror}")
