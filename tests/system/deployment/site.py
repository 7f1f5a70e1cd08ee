"""A site as the deployment guide has it, small: servers on one PostgreSQL and one etcd, HAProxy in front."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gluon.etcd.client import Etcd
from gluon.etcd.keys import Keys
from servers.etcd import EtcdServer, free_ports
from servers.process import ServerProcess
from servers.programs import find_program
from system.faults.processes import Program
from system.faults.stack import SERVICE

_HAPROXY_CONF = Path(__file__).parents[3] / "deploy/haproxy/haproxy.cfg"


class Site:
    """Servers by name (`node-1`, …), each started by the test."""

    def __init__(
        self,
        folder: Path,
        etcd: EtcdServer,
        prefix: str,
        database_url: str,
        nodes: int,
        *,
        drain_delay: float = 0.0,
    ) -> None:
        self.folder = folder
        self.keys = Keys(prefix)
        self.etcd = Etcd([etcd.url])
        self.ports = free_ports(nodes)
        (self.front_port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.front_port}"
        self.servers: dict[str, Program] = {}
        self.config = folder / "proton.conf"
        for number, port in enumerate(self.ports, 1):
            config = folder / f"node-{number}.conf"
            config.write_text(
                f"[api]\nport = {port}\nservice_list = {SERVICE}\npublic_url = {self.url}\nbind_timeout = 2\n"
                f"drain_delay = {drain_delay}\n"
                f"[database]\nconnection = {database_url.replace('$', '$$')}\n"
                f"[etcd]\nendpoints = {etcd.url}\nprefix = {prefix}\n"
            )
            self.servers[f"node-{number}"] = Program.installed("proton-server", config, f"node-{number}")

    def config_of(self, node: str) -> Path:
        """A server's configuration file."""
        return self.folder / f"{node}.conf"

    def url_of(self, node: str) -> str:
        """A server's own address, past HAProxy."""
        return f"http://127.0.0.1:{self.ports[list(self.servers).index(node)]}"

    def kill(self) -> None:
        for server in self.servers.values():
            server.kill()
            # Shown with a test that fails.
            print(f"--- the end of {server.name}'s log:\n{server.log()[-3000:]}")


@contextmanager
def haproxy(site: Site) -> Iterator[ServerProcess]:
    """HAProxy with the guide's configuration, its addresses replaced by those of the site."""
    text = _HAPROXY_CONF.read_text()
    text = re.sub(r"bind \S+", f"bind 127.0.0.1:{site.front_port}", text)
    servers = [f"    server node-{n} 127.0.0.1:{port}" for n, port in enumerate(site.ports, 1)]
    text = re.sub(r"(    server \S+ \S+\n)+", "\n".join(servers) + "\n", text)
    config = site.folder / "haproxy.cfg"
    config.write_text(text)
    process = ServerProcess("haproxy", site.folder / "haproxy.log")
    process.start([str(find_program("haproxy")), "-db", "-f", str(config)])
    try:
        yield process
    finally:
        process.end(signal.SIGKILL)
        print(f"--- the end of haproxy's log:\n{process.log.read_text(errors='replace')[-3000:]}")
