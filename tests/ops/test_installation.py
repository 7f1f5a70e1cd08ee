from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg

from gluon.ops.announcement import without_password
from gluon.ops.errors import CannotStart
from gluon.ops.installation import Endpoint, Installation, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:2379", Endpoint("127.0.0.1", 2379)),
        ("http://etcd.example.org:2379/", Endpoint("etcd.example.org", 2379)),
        ("localhost:2379", Endpoint("localhost", 2379)),
        ("http://[::1]:2379", Endpoint("::1", 2379)),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "localhost", "https://a:1", "http://a:b", "http://a:1/x", "http://a:99999"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(CannotStart, match="give it as http://HOST:PORT"):
        parse_endpoint(text)


def installation(state_dir: Path, database_url: str = "", **backends: str) -> Installation:
    return Installation(
        host="127.0.0.1",
        port=2705,
        etcd=Endpoint("127.0.0.1", 2379),
        database_url=database_url,
        state_dir=state_dir,
        models_dir=None,
        backends=backends,
        shim_name="here",
        etcd_is_ours=True,
    )


def test_every_service_has_the_dummy_backend_unless_told_otherwise(tmp_path: Path) -> None:
    conf = installation(tmp_path, special="net-l3vpn-dummy").shim_conf()
    assert "handlers = *:dummy, special:net-l3vpn-dummy\n" in conf


def test_settings_are_read_back_as_they_were_meant(tmp_path: Path) -> None:
    url = "postgresql://gluon:pa$$w{o}rd%20@db/gluon"
    (tmp_path / "proton.conf").write_text(installation(tmp_path, url).proton_conf())
    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("connection")], group="database")
    conf.register_opts([cfg.StrOpt("models_dir")], group="api")
    conf(["--config-file", str(tmp_path / "proton.conf")])
    assert conf.database.connection == url
    assert conf.api.models_dir is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://gluon:secret@db/gluon", "postgresql://gluon:***@db/gluon"),
        ("sqlite:////var/lib/gluon.sqlite", "sqlite:////var/lib/gluon.sqlite"),
        ("mysql://gluon@db:3306/gluon", "mysql://gluon@db:3306/gluon"),
    ],
)
def test_passwords_are_not_shown_to_people(url: str, shown: str) -> None:
    assert without_password(url) == shown
