"""What `gluon up` says once everything runs: a line of JSON for programs, a page for people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from gluon.ops.installation import DEFAULT_BACKEND, Installation

DEFAULT_PORT = 2705


def as_json(installation: Installation, pids: Mapping[str, int]) -> str:
    """One line for the program that started us."""
    return json.dumps(
        {
            "proton": installation.proton_url,
            "etcd": installation.etcd.url,
            "database": installation.database_url,
            "state_dir": str(installation.state_dir),
            "pids": pids,
        }
    )


def as_text(installation: Installation, services: Sequence[str], pids: Mapping[str, int]) -> str:
    """For the person at the terminal: what runs where, and what to try next."""
    etcd = f"pid {pids['etcd']}" if installation.etcd_is_ours else "given"
    backends = sorted({DEFAULT_BACKEND, *installation.backends.values()})
    rows = [
        ("Proton Server", installation.proton_url, f"pid {pids['server']}"),
        ("etcd", installation.etcd.url, etcd),
        ("Shim server", f"backend {', '.join(backends)}", f"pid {pids['shim']}"),
        ("Database", without_password(installation.database_url), ""),
        ("State and logs", str(installation.state_dir), ""),
    ]
    width = max(len(where) for _, where, note in rows if note)
    lines = ["Gluon is up.", ""]
    lines += [f"  {what:<16}{where:<{width}}  {note}".rstrip() for what, where, note in rows]
    lines += ["", f"Services: {', '.join(services)}", "", "Try next, in another terminal:"]
    lines += [f"  {step}" for step in _next_steps(installation, services)]
    lines += ["", "Ctrl-C ends all of it; what was stored stays, and is there again at the next start."]
    return "\n".join(lines)


def without_password(url: str) -> str:
    """A database URL that may be shown."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _next_steps(installation: Installation, services: Sequence[str]) -> list[str]:
    steps = []
    if installation.port != DEFAULT_PORT:
        steps.append(f"export OS_PROTON_PORT={installation.port}")
    if services:
        service = "net-l3vpn" if "net-l3vpn" in services else services[0]
        steps.append(f"protonclient --api {service} --help")
    steps.append(f"curl {installation.proton_url}/proton")
    return steps
