from __future__ import annotations

import pytest
from oslo_config import cfg

from gluon.etcd.options import ETCD_GROUP, ETCD_OPTIONS
from gluon.shim.backends.ovn.options import load_ovn_settings
from gluon.shim.errors import BadConfiguration


def _conf(tmp_path: object, text: str) -> cfg.ConfigOpts:
    file = f"{tmp_path}/shim.conf"
    with open(file, "w") as written:  # noqa: PTH123
        written.write(text)
    conf = cfg.ConfigOpts()
    conf.register_opts(ETCD_OPTIONS, group=ETCD_GROUP)
    conf(["--config-file", file], project="gluon", default_config_files=[], default_config_dirs=[])
    return conf


def test_defaults_and_the_owner_that_follows_from_etcd_s_prefix(tmp_path: object) -> None:
    assert load_ovn_settings(_conf(tmp_path, "")).owner == "gluon"
    assert load_ovn_settings(_conf(tmp_path, "[etcd]\nprefix = /site-a\n")).owner == "site-a"
    several = load_ovn_settings(_conf(tmp_path, "[shim_ovn]\nconnection = tcp:a:6641,tcp:[::1]:6641\n"))
    assert several.connection == "tcp:a:6641,tcp:[::1]:6641"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("connection = http://ovn", "none of unix:"),
        ("connection = ssl:ovn:6641", "private_key is missing"),
        ("connection = ssl:ovn:6641\nprivate_key = /no/file", "there is no file /no/file"),
        ("ipv6_prefix = fd00::/48", "it needs 32"),
        ("transit_prefix = 169.254.128.1/17", "has host bits set"),
        ("dns_servers = ns.example", "dns_servers"),
    ],
)
def test_settings_that_can_not_be_followed(tmp_path: object, text: str, problem: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        load_ovn_settings(_conf(tmp_path, f"[shim_ovn]\n{text}\n"))
    assert problem in str(refused.value)
