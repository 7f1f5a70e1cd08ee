from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "generate-proto"


def test_the_messages_are_what_rpc_proto_says() -> None:
    pytest.importorskip("grpc_tools")

    check = subprocess.run(
        [sys.executable, str(_SCRIPT), "--check"], capture_output=True, text=True, timeout=60, check=False
    )

    assert check.returncode == 0, check.stderr
