"""`protonclient` as a process of its own, at a terminal and in a pipe."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

from client.runner import PROTONCLIENT, Command


class TestProcesses:
    """The same as a process of its own, at a terminal and in a pipe."""

    def test_a_pipe_gets_json(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        result = protonclient.for_api("net-l3vpn").process("vpn-show", vpns[0]["id"])
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout) == vpns[0]

    def test_a_terminal_gets_a_table(self, protonclient: Command, vpns: list[dict[str, Any]]) -> None:
        text = at_a_terminal(protonclient.url, "vpn-list", "--tenant_id", vpns[0]["tenant_id"])
        assert "│" in text
        assert vpns[6]["id"] in text

    def test_a_reader_that_leaves_is_no_error_worth_a_word(
        self, protonclient: Command, vpns: list[dict[str, Any]]
    ) -> None:
        process = subprocess.Popen(
            [PROTONCLIENT, "--url", protonclient.url, "--api", "net-l3vpn", "vpn-list"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait(60) == 1

    def test_a_full_disk_is_one_line(self, protonclient: Command) -> None:
        command = [PROTONCLIENT, "--url", protonclient.url, "--api", "net-l3vpn", "vpn-list"]
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (result.returncode, result.stderr) == (
            1,
            "protonclient: can't write: No space left on device\n",
        )

    def test_commands_options_and_values_are_completed(self, protonclient: Command) -> None:
        def completed(*words: str) -> set[str]:
            line = f"protonclient --url {protonclient.url} {' '.join(words)}"
            result = protonclient.process(
                _PROTONCLIENT_COMPLETE="bash_complete",
                COMP_WORDS=line,
                COMP_CWORD=str(len(words) + 2),
            )
            assert result.stderr == ""
            return {entry.partition(",")[2] for entry in result.stdout.splitlines()}

        assert completed("--api", "net-") == {"net-l3vpn"}
        assert "vpnbinding-create" in completed("--api", "net-l3vpn", "vpnb")
        assert completed("--api", "net-l3vpn", "port-create", "--mac") == {"--mac_address"}
        assert completed("--api", "net-l3vpn", "port-create", "--vnic_type", "mac") == {"macvtap"}
        assert completed("--api", "net-l3vpn", "port-list", "-c", "mac") == {"mac_address"}


def at_a_terminal(url: str, *arguments: str) -> str:
    """What a command prints on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    command = [PROTONCLIENT, "--url", url, "--api", "net-l3vpn", *arguments]
    process = subprocess.Popen(command, stdout=theirs, env=environment)
    os.close(theirs)
    printed = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # what Linux says when the other side of a terminal is closed
            break
        if not chunk:
            break
        printed += chunk
    os.close(ours)
    assert process.wait(60) == 0
    return printed.decode()
