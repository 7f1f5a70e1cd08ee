"""The configuration file: what it says, and one clear line for what is wrong with it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gluon.shim.errors import BadConfiguration
from gluon.shim.settings import ShimSettings, load, parse_handlers


def settings_of(tmp_path: Path, text: str) -> ShimSettings:
    file = tmp_path / "proton-shim.conf"
    file.write_text(text)
    return load(["--config-file", str(file)], "1.0")[1]


def test_a_file_with_the_backends_alone_is_enough(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "[shim]\nhandlers = net-l3vpn:dummy\n")
    assert settings.name == f"{socket.gethostname()}-dummy"
    assert settings.etcd.endpoints == ("http://127.0.0.1:2379",)
    assert settings.serves_host("anything")
    assert settings.backend_for("net-l3vpn") == "dummy"
    assert settings.backend_for("other") is None
    assert settings.claim_wait == 5.0


def test_everything_can_be_said(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        """
        [shim]
        name = ctl-1
        etcd_host = etcd-1, etcd-2:2380, [::1]:2381, ::1
        etcd_port = 4001
        host_list = compute-1, compute-2
        handlers = net-l3vpn:vendor.package:Backend, *:dummy
        claim_wait = 1.5
        [etcd]
        prefix = /site-a/
        """.replace("        ", ""),
    )
    assert settings.name == "ctl-1"
    assert settings.etcd.endpoints == (
        *("http://etcd-1:4001", "http://etcd-2:2380", "http://[::1]:2381", "http://[::1]:4001"),
    )
    assert settings.serves_host("compute-2")
    assert not settings.serves_host("compute-3")
    assert settings.backend_for("net-l3vpn") == "vendor.package:Backend"
    assert settings.backend_for("later") == "dummy"
    assert (settings.etcd.prefix, settings.claim_wait) == ("/site-a", 1.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[shim]\n", "handlers is empty"),
        ("[shim]\nhandlers = dummy\n", "'dummy' is not service:backend"),
        ("[shim]\nhandlers = a:dummy, a:other\n", "names the service 'a' twice"),
        ("[shim]\nhandlers = a:dummy\nhost_list =\n", "host_list is empty"),
        (
            "[shim]\nhandlers = a:dummy\nhosts_list = h\n",
            "has no setting 'hosts_list'; did you mean host_list?",
        ),
        ("[shim]\nhandlers = a:dummy\netcd_port = many\n", "etcd_port"),
        ("[shim]\nhandlers = a:dummy\netcd_host = http://x\n", "neither a host nor host:port"),
        ("[shim]\nhandlers = a:dummy\n[etcd]\nprefix = site\n", "must start with '/'"),
        ("[shim\n", "Failed to parse"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        settings_of(tmp_path, text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="nowhere"):
        load(["--config-file", str(tmp_path / "nowhere.conf")], "1.0")


def test_other_sections_are_the_backends_own(tmp_path: Path) -> None:
    settings_of(tmp_path, "[shim]\nhandlers = a:dummy\n[shim_odl]\nodl_host = x\n")


def test_spaces_around_handlers_do_not_matter() -> None:
    assert parse_handlers([" a : b "]) == {"a": "b"}


def test_what_is_given_instead_of_the_file_s_handlers_holds_for_that_once(tmp_path: Path) -> None:
    file = tmp_path / "proton-shim.conf"
    file.write_text("[shim]\nhandlers = a:dummy\n")
    assert load(["--config-file", str(file)], "1.0", handlers="b:odl")[1].handlers == {"b": "odl"}
    assert load(["--config-file", str(file)], "1.0")[1].handlers == {"a": "dummy"}
