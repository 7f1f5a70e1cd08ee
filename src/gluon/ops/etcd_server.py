"""The etcd server that `gluon up` runs: which program, whether it is new enough, and with what options."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gluon.ops.errors import CannotStart

Version = tuple[int, int, int]

_HOW_TO_GET = (
    "install one (Debian: apt-get install etcd-server), name one with GLUON_ETCD=/path/to/etcd, "
    "or use a running one with --etcd http://HOST:PORT"
)


@dataclass(frozen=True, slots=True)
class EtcdProgram:
    """An etcd on this machine. `doubt` says why its data may not be safe, or is empty."""

    path: str
    version: Version
    doubt: str = ""


def doubt_about(version: Version) -> str:
    """Why data is not safe with that version of etcd; empty when it is.

    etcd's own announcements: before 3.4.22, and from 3.5.0 to 3.5.5, a member that is killed may have lost
    writes that it had acknowledged, or disagree with itself afterwards.
    """
    if (3, 4, 22) <= version < (3, 5, 0) or version >= (3, 5, 6):
        return ""
    return "it can lose acknowledged writes when it is killed; 3.4.22 or 3.5.6 is the least that is safe"


def find_etcd() -> EtcdProgram:
    """The etcd to run: `$GLUON_ETCD`, else one on PATH, else what `scripts/get-etcd` put into the checkout.

    One that was named on purpose or fetched for a trial may be of a version in `doubt`, one that merely is on
    PATH may not. Raises CannotStart when there is none.
    """
    named = os.environ.get("GLUON_ETCD")
    if named:
        program = EtcdProgram(named, _version_of(named))
        return _with_doubt(program)
    rejected = []
    on_path = shutil.which("etcd")
    if on_path is not None:
        program = _with_doubt(EtcdProgram(on_path, _version_of(on_path)))
        if not program.doubt:
            return program
        rejected.append(f"{on_path} is version {spell(program.version)}, and {program.doubt}")
    fetched = _fetched_into_checkout()
    if fetched is not None:
        return _with_doubt(EtcdProgram(fetched, _version_of(fetched)))
    raise CannotStart(f"{'; '.join(rejected) or 'there is no etcd on this machine'}: {_HOW_TO_GET}")


def spell(version: Version) -> str:
    """A version as etcd writes it."""
    return ".".join(map(str, version))


def parse_version(text: str) -> Version | None:
    """The first `N.N.N` in a text."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


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
        # The history is only for watches that resume; the database can tell everything again.
        *("--auto-compaction-mode", "periodic", "--auto-compaction-retention", "30m"),
        *("--quota-backend-bytes", str(4 * 1024**3)),
        *("--logger", "zap", "--log-level", "warn"),
    )


def etcd_environment() -> dict[str, str]:
    """Our own environment without the settings that etcd would read from it."""
    kept = {"ETCD_UNSUPPORTED_ARCH"}
    return {k: v for k, v in os.environ.items() if not k.startswith("ETCD_") or k in kept}


def _with_doubt(program: EtcdProgram) -> EtcdProgram:
    if program.version < (3, 4, 0):
        raise CannotStart(f"{program.path} is version {spell(program.version)}, too old: {_HOW_TO_GET}")
    return EtcdProgram(program.path, program.version, doubt_about(program.version))


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
    version = parse_version(answer.stdout)
    if version is None:
        raise CannotStart(f"{path} --version doesn't answer as etcd does: {_HOW_TO_GET}")
    return version


def _fetched_into_checkout() -> str | None:
    checkout = Path(__file__).parents[3]
    if not (checkout / "scripts" / "get-etcd").exists():
        return None
    found = sorted(p for p in (checkout / ".tools").rglob("etcd") if p.is_file() and os.access(p, os.X_OK))
    return str(found[0]) if found else None
