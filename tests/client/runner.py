"""Runs `protonclient` in this process, and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gluon.client.main import main

PROTONCLIENT = str(Path(sys.executable).with_name("protonclient"))


class Command:
    """`protonclient` against one server, for one service after `for_api`."""

    def __init__(self, url: str, api: str | None = None) -> None:
        self.url = url
        self._options = ["--url", url, *(["--api", api] if api else [])]

    def for_api(self, api: str) -> Command:
        """The same with `--api`."""
        return Command(self.url, api)

    def run(self, *arguments: str) -> Result:
        """Run in this process."""
        return CliRunner().invoke(main, [*self._options, *arguments])

    def out(self, *arguments: str) -> str:
        """What a command line that must succeed prints."""
        result = self.run(*arguments)
        assert result.exit_code == 0, (arguments, result.output)
        assert result.stderr == ""
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """The JSON that a command line prints when its output is no terminal."""
        return json.loads(self.out(*arguments))

    def error(self, *arguments: str) -> str:
        """The one line of a command line that must fail."""
        result = self.run(*arguments)
        assert result.exit_code == 1, (arguments, result.output)
        assert result.stdout == ""
        assert result.stderr.startswith("protonclient: ")
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr.strip()

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run in a process of its own."""
        return subprocess.run(
            [PROTONCLIENT, *self._options, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **environment},
            check=False,
        )
