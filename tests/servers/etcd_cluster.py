"""A real etcd cluster for tests, whose members can be hurt one by one; if asked for with TLS and users."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gluon.etcd.client import EtcdError, Status
from gluon.etcd.options import EtcdSettings
from servers.certificates import Certificates
from servers.etcd import EtcdServer, free_ports, program
from servers.namespaces import Namespaces

_PATIENCE = 30.0
_POLL = 0.05

_ROOT = ("root", "of-the-root-user")
"""Who manages users, and the password."""


@dataclass(frozen=True)
class Address:
    """Where a member is; `prefix` stands before its command line."""

    name: str
    client: str
    peer: str
    metrics: str
    prefix: tuple[str, ...] = ()


class Member(EtcdServer):
    """One member. It comes back with its data as often as it is started."""

    def __init__(self, directory: Path, address: Address, options: Callable[[], Sequence[str]]) -> None:
        super().__init__(directory)
        self.name = address.name
        self.url = address.client
        self.peer_url = address.peer
        self._address = address
        self._of_cluster = options

    @property
    def health_url(self) -> str:
        return f"{self._address.metrics}/health"

    def command(self) -> Sequence[str]:
        return (
            *self._address.prefix,
            program(),
            *("--name", self.name, "--data-dir", str(self.data)),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url),
            *("--listen-metrics-urls", self._address.metrics),
            *("--log-level", "error", "--logger", "zap"),
            *self._of_cluster(),
        )


class EtcdCluster:
    """Some members on loopback, or on the hosts of a private network, where they can be cut off.

    With `certificates` clients must come by TLS, and show one. Start it from the main thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        size: int = 3,
        certificates: Certificates | None = None,
        network: Namespaces | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._certificates = certificates
        self._network = network
        self._options = tuple(options)
        self._token = "first"
        self._state = "new"
        self._with_users = False
        addresses = self._on_loopback(size) if network is None else _on_hosts(network, size)
        self.members = [Member(directory / a.name, a, self._member_options) for a in addresses]

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients reach the members."""
        return tuple(member.url for member in self.members)

    def settings(self, **changes: Any) -> EtcdSettings:
        """For a client; if there are certificates, with one that belongs to no user."""
        settings = EtcdSettings(endpoints=self.urls, timeout=2.0)
        if self._certificates is not None:
            certificate, key = self._certificates.client("anybody")
            ca = self._certificates.ca
            settings = replace(settings, ca_file=ca, cert_file=certificate, key_file=key)
        return replace(settings, **changes)

    def start(self) -> None:
        """Start all members, and wait until each of them works."""
        for member in self.members:
            member.start()
        for member in self.members:
            member.wait_ready()

    def close(self) -> None:
        """Kill all members that run."""
        for member in self.members:
            member.kill()

    def partition(self, member: Member) -> None:
        """Cut a member off from the others; clients still reach it."""
        self._reached().cut(self._host(member))

    def cut_off(self, member: Member) -> None:
        """Cut a member off from everybody."""
        self._reached().cut(self._host(member), outer=True)

    def heal(self, member: Member) -> None:
        """The end of either."""
        self._reached().heal(self._host(member))

    def at(self, url: str) -> Member:
        """The member at a URL."""
        return next(member for member in self.members if member.url == url)

    async def leader(self) -> Member:
        """The member that leads, as soon as one does that the others follow."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            statuses = await self.statuses()
            urls = {status.member_id: url for url, status in statuses.items()}
            votes = [status.leader for status in statuses.values()]
            for number, url in urls.items():
                if votes.count(number) > len(self.members) // 2:
                    return self.at(url)
            await asyncio.sleep(_POLL)
        raise RuntimeError("no member leads")

    async def settled(self) -> Member:
        """The leader, as soon as every member follows it."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            leader = await self.leader()
            statuses = await self.statuses()
            followed = {status.leader for status in statuses.values()}
            if len(statuses) == len(self.members) and followed == {statuses[leader.url].member_id}:
                return leader
            await asyncio.sleep(_POLL)
        raise RuntimeError(f"not every member follows the leader: {statuses}")

    async def statuses(self) -> dict[str, Status]:
        """What each member that answers says of itself, by its URL."""
        client = self.settings().connect()
        try:
            answers = await client.statuses(within=1.0)
        finally:
            await client.close()
        return {url: answer for url, answer in answers.items() if not isinstance(answer, EtcdError)}

    def control(self, *arguments: str, member: Member | None = None) -> str:
        """What etcdctl says, run for all members, or for one."""
        urls = self.urls if member is None else (member.url,)
        command = [etcdctl(), "--endpoints", ",".join(urls), "--command-timeout", "10s"]
        if self._certificates is not None:
            certificate, key = self._certificates.client("anybody")
            command += ["--cacert", str(self._certificates.ca), "--cert", str(certificate), "--key", str(key)]
        if self._with_users:
            command += ["--user", ":".join(_ROOT)]
        return _run([*command, *arguments])

    def enable_users(self, prefix: str, user: str, password: str) -> None:
        """What docs/operations.md has an operator do: a user with one role, for the keys of a prefix."""
        self.control("user", "add", ":".join(_ROOT))
        self.control("user", "grant-role", "root", "root")
        self.control("role", "add", user)
        self.control("role", "grant-permission", user, "readwrite", "--prefix=true", f"{prefix}/")
        self.control("user", "add", f"{user}:{password}")
        self.control("user", "grant-role", user, user)
        self.control("auth", "enable")
        self._with_users = True

    def add_anew(self, member: Member) -> None:
        """What an operator does for a member whose data is gone, before it is started: remove and add it."""
        other = next(m for m in self.members if m is not member and m.running)
        members = self.control("member", "list", member=other).splitlines()
        (number,) = (line.split(",")[0] for line in members if member.peer_url in line)
        self.control("member", "remove", number, member=other)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.control("member", "add", member.name, f"--peer-urls={member.peer_url}", member=other)
                break
            except RuntimeError as error:
                # The other members must have been in touch for five seconds.
                if "unhealthy cluster" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_POLL)
        self._state = "existing"

    def save(self, file: Path) -> None:
        """A snapshot of the first member."""
        self.control("snapshot", "save", str(file), member=self.members[0])

    def restore(self, file: Path) -> None:
        """Make all members' data from a snapshot, while none runs: a new cluster with the old keys."""
        self._token, self._state = f"restored-{time.monotonic_ns()}", "new"
        for member in self.members:
            member.wipe()
            _run(
                [
                    *(etcdctl(), "snapshot", "restore", str(file)),
                    *("--name", member.name, "--data-dir", str(member.data)),
                    *("--initial-cluster", self._initial_cluster()),
                    *("--initial-cluster-token", self._token),
                    *("--initial-advertise-peer-urls", member.peer_url),
                ]
            )

    def wipe(self) -> None:
        """Remove all members' data, while none runs: a new cluster of the same name, with nothing in it."""
        self._state = "new"
        for member in self.members:
            member.wipe()

    def _reached(self) -> Namespaces:
        assert self._network is not None, "members on loopback can't be cut off"
        return self._network

    def _host(self, member: Member) -> int:
        return self.members.index(member) + 1

    def _initial_cluster(self) -> str:
        return ",".join(f"{member.name}={member.peer_url}" for member in self.members)

    def _member_options(self) -> Sequence[str]:
        options = [
            *("--initial-cluster", self._initial_cluster()),
            *("--initial-cluster-token", self._token),
            *("--initial-cluster-state", self._state),
            *self._options,
        ]
        if self._certificates is not None:
            certificate, key = self._certificates.server
            options += ["--cert-file", str(certificate), "--key-file", str(key)]
            options += ["--trusted-ca-file", str(self._certificates.ca), "--client-cert-auth"]
        return options

    def _on_loopback(self, size: int) -> list[Address]:
        ports = iter(free_ports(3 * size))
        scheme = "http" if self._certificates is None else "https"
        return [
            Address(
                f"m{number}",
                client=f"{scheme}://127.0.0.1:{next(ports)}",
                peer=f"http://127.0.0.1:{next(ports)}",
                metrics=f"http://127.0.0.1:{next(ports)}",
            )
            for number in range(1, size + 1)
        ]


def _on_hosts(network: Namespaces, size: int) -> list[Address]:
    return [
        Address(
            f"m{host}",
            client=f"http://{network.address(host)}:2379",
            peer=f"http://{network.inner_address(host)}:2380",
            metrics=f"http://{network.address(host)}:2381",
            prefix=network.command(host),
        )
        for host in range(1, size + 1)
    ]


def etcdctl() -> str:
    """Debian's etcd-client, installed, or unpacked by scripts/get-debian."""
    unpacked = Path(__file__).parents[2] / ".tools/debian/usr/bin/etcdctl"
    found = shutil.which("etcdctl") or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        raise RuntimeError("there is no etcdctl: run tests with make, or scripts/get-debian etcd-client")
    return found


def _run(command: Sequence[str]) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "ETCDCTL_"))}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        env={**kept, "ETCDCTL_API": "3"},
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
