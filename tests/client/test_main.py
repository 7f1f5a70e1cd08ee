"""The command line itself, before any service's commands: start, errors, and ends."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.answering import answer, answering, listening, unused_url

PROTONCLIENT = str(Path(sys.executable).with_name("protonclient"))
SERVER_ONLY = ("falcon", "sqlalchemy", "grpc", "uvicorn", "oslo_config")


def protonclient(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROTONCLIENT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


def one_line_of_error(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("protonclient: ")
    return result.stderr


@pytest.mark.parametrize("module", ["main", "commands", "sdk"])
def test_the_client_loads_nothing_of_the_server(module: str) -> None:
    code = f"import sys, gluon.client.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in SERVER_ONLY if name in loaded.split()]


def test_help_needs_no_server_and_no_http_library() -> None:
    code = "import sys, gluon.client.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [name for name in ("requests", "keystoneauth1", "rich", "yaml") if name in loaded.split()]


def test_help_is_there_at_once() -> None:
    """Soon after the library for command lines is, that is; in processor time, which load doesn't change."""

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, "OS_PROTON_PORT": "1"}
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "--api" in result.stdout or "--help" not in command
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    floor = min(seconds(sys.executable, "-c", "import click") for _ in range(3))
    assert min(seconds(PROTONCLIENT, "--help") for _ in range(3)) < 2.5 * floor


@pytest.mark.parametrize("arguments", [[], ["--api", "x"], ["--api", "x", "port-list"], ["port-list"]])
def test_a_server_that_is_away_is_one_line_with_its_url(arguments: list[str]) -> None:
    url = unused_url()
    assert f"no Proton Server can be reached at {url} (Connection refused)" in one_line_of_error(
        protonclient("--url", url, *arguments)
    )


def test_host_and_port_come_from_the_environment() -> None:
    url = unused_url()
    port = url.rpartition(":")[2]
    assert url in one_line_of_error(protonclient(OS_PROTON_HOST="127.0.0.1", OS_PROTON_PORT=port))
    assert url in one_line_of_error(protonclient("--port", port, OS_PROTON_PORT="1"))
    assert f"http://[::1]:{port}" in one_line_of_error(protonclient("--host", "::1", "--port", port))


def test_a_port_that_is_no_number_is_said_with_where_it_comes_from() -> None:
    line = one_line_of_error(protonclient(OS_PROTON_PORT="many"))
    assert "OS_PROTON_PORT" in line
    assert "many" in line


def test_a_url_that_is_none_says_how_one_looks() -> None:
    assert "http://127.0.0.1:2705" in one_line_of_error(protonclient("--url", "localhost:2705"))


def test_an_unknown_option_is_an_error_in_one_line() -> None:
    assert "--ulr" in one_line_of_error(protonclient("--ulr", "x"))


def test_something_else_at_the_url_is_told_from_a_server() -> None:
    with answering(answer("200 OK", b"<html>Welcome</html>")) as url:
        assert "did not answer as a Proton Server" in one_line_of_error(protonclient("--url", url))
    with answering(answer("200 OK", {"hello": "world"})) as url:
        assert "did not answer as a Proton Server" in one_line_of_error(
            protonclient("--url", url, "--api", "x", "port-list")
        )


def test_a_server_that_does_not_answer_is_given_up_after_the_timeout() -> None:
    with listening(None) as url:
        assert "within 0.3 s" in one_line_of_error(protonclient("--url", url, "--timeout", "0.3"))


def test_ctrl_c_ends_quietly() -> None:
    with listening(None) as url:
        process = subprocess.Popen(
            [PROTONCLIENT, "--url", url, "--debug"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        # The first request is on its way when it is logged.
        assert any("REQ" in line or "Starting new HTTP connection" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err


def test_completion_is_silent_when_the_server_is_away_or_slow() -> None:
    def completed(url: str, words: str) -> subprocess.CompletedProcess[str]:
        return protonclient(
            _PROTONCLIENT_COMPLETE="bash_complete",
            COMP_WORDS=f"protonclient --url {url} {words}",
            COMP_CWORD=str(2 + len(words.split())),
        )

    with listening(None) as silent:
        for url in (unused_url(), silent):
            result = completed(url, "--api x port")
            assert (result.stdout.strip(), result.stderr) == ("", "")


def test_completion_knows_the_groups_options_without_a_server() -> None:
    result = protonclient(
        _PROTONCLIENT_COMPLETE="bash_complete",
        COMP_WORDS="protonclient --api",
        COMP_CWORD="1",
        OS_PROTON_PORT="1",
    )
    assert "--api-version" in result.stdout


def test_debug_shows_the_requests() -> None:
    with answering(answer("200 OK", {"protons": []})) as url:
        result = protonclient("--url", url, "--debug")
    assert "GET" in result.stderr
    assert "serves nothing yet" in result.stderr
