from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gluon.ops.leash

LEASH = Path(gluon.ops.leash.__file__)


def test_a_parent_that_is_gone_already_starts_nothing() -> None:
    not_our_parent = "1" if os.getpid() != 1 else "2"
    ended = subprocess.run([sys.executable, LEASH, not_our_parent, "echo", "started"], capture_output=True)
    assert ended.returncode == 1
    assert ended.stdout == b""
