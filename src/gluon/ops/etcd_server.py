"""The etcd server that `gluon up` runs: which program, whether it is new enough, and with what options."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gluon.etcd.version import Version, parse_version, version_problem
from gluon.ops.errors import CannotStart

_HOW_TO_GET = (
    "install one (Debian: apt-get install etcd-server), name one with GLUON_ETCD=/path/to/etcd, "
    "or use a running one with --etcd http://HOST:PORT"
)


@dataclass(frozen=True, slots=True)
class EtcdProgram:
    """An etcd on this machine."""

    path: str
    version: Version

    @property
    def doubt(self) -> str | None:
        """Why data is not safe with it; None when it is."""
        return version_problem(self.version)


def find_etcd() -> EtcdProgram:
    """The etcd to run: `$GLUON_ETCD`, else one on PATH, else what `scripts/get-etcd` put into the checkout.

    One that was named on purpose or fetched for a trial may be of a version in `doubt`, one that merely is on
    PATH may not. Raises CannotStart when there is none.
    """
    named = os.environ.get("GLUON_ETCD")
    if named:
        return _program(named)
    rejected = "there is no etcd on this machine"
    on_path = shutil.which("etcd")
    if on_path is not None:
        program = _program(on_path)
        if not program.doubt:
            return program
        rejected = f"{on_path}: {program.doubt}"
    fetched = _fetched_into_checkout()
    if fetched is not None:
        return _program(fetched)
    raise CannotStart(f"{rejected}: {_HOW_TO_GET}")


def _spell(version: Version) -> str:
    return ".".join(map(str, version))


def etcd_command(program: EtcdProgram, data: Path, port: int, peer_port: int) -> tuple[str, ...]:
    """The command line of a single etcd that only this machine can reach."""
    clients, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return (
        program.path,
        *("--name", "gluon"),
        *("--data-dir", str(data)),
        *("--listen-client-urls", clients, "--advertise-client-urls", clients),
        *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
        *("--initial-cluster", f"gluon={peers}"),
        # One member has nobody to wait for: with etcd's own second for an election it only starts later.
        *("--heartbeat-interval", "20", "--election-timeout", "200"),
        # The history is only for watches that resume; the database can tell everything again.
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "30m"),
        *("--quota-backend-bytes", str(4 * 1024**3)),
        *("--logger", "zap", "--log-level", "warn"),
    )


def etcd_environment() -> dict[str, str]:
    """Our own environment without the settings that etcd would read from it."""
    kept = {"ETCD_UNSUPPORTED_ARCH"}
    return {k: v for k, v in os.environ.items() if not k.startswith("ETCD_") or k in kept}


def _program(path: str) -> EtcdProgram:
    version = _version_of(path)
    if version < (3, 4, 0):
        raise CannotStart(f"{path} is version {_spell(version)}, too old: {_HOW_TO_GET}")
    return EtcdProgram(path, version)


def _version_of(path: str) -> Version:
    try:
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=20,
            env=etcd_environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotStart(f"{path} can't be run as etcd ({error}): {_HOW_TO_GET}") from error
    try:
        return parse_version(answer.stdout)
    except ValueError as error:
        raise CannotStart(f"{path} --version doesn't answer as etcd does: {_HOW_TO_GET}") from error


def _fetched_into_checkout() -> str | None:
    checkout = Path(__file__).parents[3]
    if not (checkout / "scripts" / "get-etcd").exists():
        return None
    found = sorted(p for p in (checkout / ".tools").rglob("etcd") if p.is_file() and os.access(p, os.X_OK))
    return str(found[0]) if found else None
