"""What the configuration says of etcd, and one clear line for what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg

from gluon.etcd.options import ETCD_GROUP, ETCD_OPTIONS, EtcdSettings, endpoints_of, load_settings

PEM = "-----BEGIN CERTIFICATE-----\n"


def settings_of(tmp_path: Path, **given: object) -> EtcdSettings:
    conf = cfg.ConfigOpts()
    conf.register_opts(ETCD_OPTIONS, group=ETCD_GROUP)
    conf.register_opts([cfg.StrOpt("etcd_host", default="127.0.0.1"), cfg.PortOpt("etcd_port")], group="api")
    section = given.pop("api", {"etcd_port": 2379})
    lines = [f"{name} = {value}" for name, value in given.items()]
    lines += ["[api]", *(f"{name} = {value}" for name, value in section.items())]  # type: ignore[attr-defined]
    file = tmp_path / "proton.conf"
    file.write_text("\n".join(["[etcd]", *lines]))
    conf(["--config-file", str(file)])
    return load_settings(conf, "api")


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    file = tmp_path / "some.pem"
    file.write_text(PEM)
    return file


def test_an_etcd_on_this_machine_needs_no_settings(tmp_path: Path) -> None:
    assert settings_of(tmp_path) == EtcdSettings()


def test_hosts_make_the_endpoints(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, api={"etcd_host": "a, b:1, [::1]:2, ::1", "etcd_port": 9})
    assert settings.endpoints == ("http://a:9", "http://b:1", "http://[::1]:2", "http://[::1]:9")


def test_hosts_are_reached_by_https_when_there_are_certificates(tmp_path: Path, pem: Path) -> None:
    assert settings_of(tmp_path, ca_file=pem).endpoints == ("https://127.0.0.1:2379",)
    assert settings_of(tmp_path, cert_file=pem, key_file=pem).endpoints == ("https://127.0.0.1:2379",)


def test_endpoints_come_before_hosts(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, endpoints="https://a, https://b:1/", api={"etcd_port": 9})
    assert settings.endpoints == ("https://a", "https://b:1/")


def test_the_files_are_read_when_a_client_is_made(tmp_path: Path, pem: Path) -> None:
    settings = settings_of(tmp_path, ca_file=pem, user="gluon", password="hush")
    credentials = settings.credentials()
    assert (credentials.ca, credentials.user, credentials.password) == (PEM.encode(), "gluon", "hush")
    pem.unlink()
    with pytest.raises(ValueError, match="ca_file"):
        settings.connect()


def test_secrets_are_not_printed(tmp_path: Path, pem: Path) -> None:
    settings = settings_of(tmp_path, ca_file=pem, user="gluon", password="hush")
    assert "hush" not in f"{settings!r} {settings.credentials()!r}"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"prefix": "site"}, "[etcd] prefix must start with '/'"),
        ({"endpoints": "a:2379"}, "[etcd] endpoints: 'a:2379' is no endpoint of etcd"),
        ({"endpoints": "http://a:many"}, "[etcd] endpoints"),
        ({"endpoints": "http://a/path"}, "[etcd] endpoints"),
        ({"endpoints": "http://a, https://b"}, "all http or all https"),
        ({"endpoints": "http://a", "ca_file": "PEM"}, "[etcd] ca_file is of no use with http://a"),
        ({"cert_file": "PEM"}, "[etcd] cert_file is given without key_file"),
        ({"ca_file": "PEM", "key_file": "PEM"}, "[etcd] key_file is given without cert_file"),
        ({"ca_file": "/nowhere/ca.pem"}, "[etcd] ca_file: /nowhere/ca.pem can't be read"),
        ({"ca_file": "NO PEM"}, "holds no PEM"),
        ({"user": "gluon"}, "[etcd] user is given without password"),
        ({"password": "secret"}, "[etcd] password is given without user"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, pem: Path, given: dict[str, str], says: str
) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    files = {"PEM": str(pem), "NO PEM": str(empty)}
    with pytest.raises(ValueError) as caught:
        settings_of(tmp_path, **{name: files.get(value, value) for name, value in given.items()})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("hosts", ["", " , ", "a:b", "a:0", "a:70000", "http://a", "a/b"])
def test_no_host_is_no_choice(hosts: str) -> None:
    with pytest.raises(ValueError, match=r"\[shim\] etcd_host"):
        endpoints_of(hosts, 2379, scheme="http", section="shim")
