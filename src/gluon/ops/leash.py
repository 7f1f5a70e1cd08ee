"""Become another program that the kernel kills when our parent dies: `leash.py PARENT COMMAND ...`.

A supervisor that is killed with SIGKILL can't stop its children; the kernel can. The wish is made here, in
the child, because it survives exec and because the pid stays the one that the supervisor knows. Run as a
file with `-I -S`: nothing but the standard library is needed, and starting it costs little.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Tie this process to its parent, then exec the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
    # A parent that died before the call above sends no signal any more.
    if os.getppid() != parent:
        sys.exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
