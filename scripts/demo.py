"""`make demo`: the product on real input, told to someone who has never heard of it.

Uses what a user would use: the commands `gluon`, `protonclient` and `gluon-api-tool`, one HTTP request
as OpenStack Compute would cause it, and reads of etcd. All of it happens in a directory that is removed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluon.etcd.client import Etcd

PROJECT = Path(__file__).parents[1]
COMMANDS = Path(sys.executable).parent
EXAMPLES = PROJECT / "examples" / "models"

CUSTOMER = "a868a466bca84df18404a77db0ecac72"
VIRTUAL_MACHINE = "5b2c3f3e-9f0b-4d7e-8f55-0d7b8a1c2e90"
HOST = "compute-17"


class DemoError(Exception):
    """A step did not do what it should."""


@dataclass(frozen=True)
class Stack:
    """What `gluon up --json` has told, and where its logs are."""

    url: str
    etcd: str
    logs: Path
    pids: dict[str, int]

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]


def main() -> int:
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="gluon-demo-") as directory:
            tell(
                """
                An operator wants to sell a new networking service: a VPN, a service chain, an Ethernet
                line. With Gluon it writes one YAML file that says what the service is made of. Gluon
                makes everything else from it: the API, the database, the access rules, the commands, and
                the hand-off to the SDN controllers that do the work.
                """
            )
            l3vpn(Path(directory))
            e_line(Path(directory))
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    tell(f"That was the demo, in {time.monotonic() - started:.0f} seconds; nothing of it is left running.")
    print("    Next: `.venv/bin/gluon up` gives you the same to play with; README.md has the tour.")
    return 0


def l3vpn(directory: Path) -> None:
    """The service that Gluon began with, on the values of its user guide."""
    chapter(1, "A service from a file: L3VPN")
    with stack(directory) as running:
        tell("Nobody has written code for this API. Its objects come from the model of net-l3vpn:")
        resources = request("GET", f"{running.url}/proton/net-l3vpn/v1.0")["resources"]
        show({"resources": ", ".join(sorted(r["resource_name"] for r in resources))})

        tell("A customer's VPN: who may reach whom is decided by route targets, like 1000:1000.")
        client(
            running,
            "net-l3vpn",
            f"vpnafconfig-create --vrf_rt_type both --vrf_rt_value 1000:1000 --tenant_id {CUSTOMER}",
            "vrf_rt_value vrf_rt_type",
        )
        vpn = client(
            running,
            "net-l3vpn",
            'vpn-create --name "TestVPN" --ipv4_family 1000:1000 --ipv6_family 1000:1000'
            f' --route_distinguishers 1000:1000 --tenant_id {CUSTOMER} --description "My Test VPN"',
            "id name ipv4_family route_distinguishers",
        )
        tell("A port is where a virtual machine will be plugged in. A binding puts it into the VPN.")
        port = create_port(running, "net-l3vpn", "TestVPNPort", "c8:2a:14:04:43:80")
        client(
            running,
            "net-l3vpn",
            f"vpnbinding-create --interface_id {port} --service_id {vpn['id']} --ipaddress 10.10.0.2"
            f" --subnet_prefix 24 --gateway 10.10.0.1 --tenant_id {CUSTOMER}",
            "interface_id service_id ipaddress subnet_prefix gateway",
        )

        tell(
            f"""
            Now OpenStack Compute starts a virtual machine on the host {HOST} and asks for the port to be
            bound there. The request waits until the SDN controller of that host has answered what to plug
            into:
            """
        )
        bind(running, "net-l3vpn", port)

        tell(
            """
            The controller never spoke with the server. Both only know etcd: the server puts each object
            under a key, the controller's shim watches those, and answers under keys of its own.
            """
        )
        show_keys(running, port)

        tell("And this is what the controller was asked to do (the dummy one, which logs and does nothing):")
        show_controller_log(running, "net-l3vpn")


def e_line(directory: Path) -> None:
    """A service that Gluon has never seen: its file is in examples/."""
    chapter(2, "Your own service: an E-Line")
    model = EXAMPLES / "e-line" / "api.yaml"
    lines = len(model.read_text().splitlines())
    tell(
        f"""
        Gluon does not know what an E-Line is. {model.relative_to(PROJECT)} describes one, in {lines}
        lines with all explanations. Is it right? Then it can be served:
        """
    )
    run("gluon-api-tool", "check", str(model.relative_to(PROJECT)))
    with stack(directory, "--models", str(EXAMPLES.relative_to(PROJECT))) as running:
        tell("Its API and its commands are there at once:")
        usage = run("protonclient", "--api", "e-line", "--help", server=running, quiet=True)
        commands = sorted(
            {w for line in usage.splitlines() for w in line.split()[:1] if w.endswith(("-create", "-list"))}
        )
        show({"commands": ", ".join(commands) or "see protonclient --api e-line --help"})
        profile = client(
            running,
            "e-line",
            f"bandwidthprofile-create --name gold --cir 1000000 --cbs 125000 --tenant_id {CUSTOMER}",
            "id name cir cbs",
        )
        line = client(
            running,
            "e-line",
            f'eline-create --name "Basel - Bern" --service_type epl --s_vlan 2101 --mtu 1522'
            f" --bandwidth_profile {profile['id']} --tenant_id {CUSTOMER}",
            "id name service_type s_vlan bandwidth_profile",
        )
        port = create_port(running, "e-line", "Basel", "c8:2a:14:04:43:81")
        client(
            running,
            "e-line",
            f"endpoint-create --name Basel --interface_id {port} --service_id {line['id']}"
            f" --tenant_id {CUSTOMER}",
            "interface_id service_id name",
        )
        tell("What the model forbids is refused, with the reason (IEEE 802.1Q ends at VLAN 4094):")
        refused(running, "e-line", f"eline-update --s_vlan 5000 {line['id']}")
        tell("And the ports of the new service are bound like any other:")
        bind(running, "e-line", port)
        show_controller_log(running, "e-line")


def create_port(running: Stack, service: str, name: str, mac_address: str) -> str:
    port = client(
        running,
        service,
        f"port-create --mac_address {mac_address} --mtu 1500 --admin_state_up True --name {name}"
        f" --vlan_transparency True --vnic_type normal --vif_type ovs --status ACTIVE --tenant_id {CUSTOMER}",
        "id name mac_address status",
    )
    return str(port["id"])


def bind(running: Stack, service: str, port: str) -> None:
    """Ask as Neutron does for Nova, and see that a controller has answered."""
    body = {"host_id": HOST, "device_id": VIRTUAL_MACHINE, "device_owner": "compute:nova", "profile": "{}"}
    started = time.monotonic()
    url = f"{running.url}/proton/{service}/v1.0/ports/{port}"
    print(f"    PUT {url.removeprefix(running.url)}\n        {json.dumps(body)}")
    bound = request("PUT", url, body)
    took = (time.monotonic() - started) * 1000
    show({f"answered after {took:.0f} ms": {k: bound[k] for k in ("status", "vif_type", "vif_details")}})
    if bound["vif_type"] != "ovs" or bound["status"] != "ACTIVE":
        raise DemoError(f"the port was not bound: vif_type {bound['vif_type']}, status {bound['status']}")


def show_keys(running: Stack, port: str) -> None:
    """All keys in etcd, and the values of those that made the bind."""
    values = asyncio.run(everything_in(running.etcd))
    told = {f"/gluon/port/{port}", f"/proton/net-l3vpn/Port/{port}", f"/controller/net-l3vpn/Port/{port}"}
    if not told <= values.keys():
        raise DemoError(f"these keys are not in etcd: {', '.join(sorted(told - values.keys()))}")
    for key, value in values.items():
        if key in told:
            show({key: json.loads(value)})
        else:
            print(f"        {key}")


async def everything_in(endpoint: str) -> dict[str, bytes]:
    etcd = Etcd([endpoint])
    try:
        return {item.key: item.value for item in (await etcd.list("/")).items}
    finally:
        await etcd.close()


def show_controller_log(running: Stack, service: str) -> None:
    """What the dummy backend has written: a line for each thing that it was asked to do."""
    mark = f" gluon.shim.backends.dummy: {service} "
    lines = (running.logs / "shim.log").read_text().splitlines()
    asked = [line.partition(mark)[2] for line in lines if mark in line]
    if not any("bind_port" in line for line in asked):
        raise DemoError("the controller's log does not show that it was asked to bind the port")
    for line in asked:
        print("        " + textwrap.shorten(line, 150, placeholder=" ..."))


@contextmanager
def stack(directory: Path, *options: str) -> Iterator[Stack]:
    """`gluon up` until the block ends; raises DemoError when it doesn't come up or doesn't end well."""
    state = directory / "state"
    command = ["gluon", "up", "--json", "--port", "0", "--state-dir", str(state), *options]
    tell("Starting etcd, the Proton Server and a shim with its controller:")
    print(f"    $ {shlex.join(command)}")
    process = subprocess.Popen(
        [COMMANDS / command[0], *command[1:]], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise DemoError(f"gluon up ended with exit code {process.wait()}")
        told = json.loads(line)
        show({"proton": told["proton"], "etcd": told["etcd"], "database": told["database"]})
        yield Stack(told["proton"], told["etcd"], state / "log", told["pids"])
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        process.stdout.close()
    if code != 0:
        raise DemoError(f"gluon up ended with exit code {code}")


def client(running: Stack, service: str, command: str, columns: str) -> dict[str, Any]:
    """Run a protonclient command, show the columns that matter, and give the object that it answered."""
    answer = run("protonclient", "--api", service, *shlex.split(command), server=running, quiet=True)
    created: dict[str, Any] = json.loads(answer)
    show({column: created[column] for column in columns.split()})
    return created


def refused(running: Stack, service: str, command: str) -> None:
    run("protonclient", "--api", service, *shlex.split(command), server=running, expected=1)


def run(*command: str, server: Stack | None = None, quiet: bool = False, expected: int = 0) -> str:
    """Run one of the product's commands; raises DemoError when its exit code is another than expected."""
    environment = dict(os.environ)
    if server is not None:
        environment |= {"OS_PROTON_HOST": "127.0.0.1", "OS_PROTON_PORT": server.port}
    shown = shlex.join(command)
    print(
        textwrap.fill(
            shown, 110, initial_indent="    $ ", subsequent_indent="          ", break_on_hyphens=False
        )
    )
    done = subprocess.run(
        [COMMANDS / command[0], *command[1:]], capture_output=True, text=True, env=environment, cwd=PROJECT
    )
    if done.returncode != expected:
        raise DemoError(f"{shown}\nended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    if not quiet:
        print(textwrap.indent((done.stdout + done.stderr).rstrip(), "        "))
    return done.stdout


def request(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    message = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    # Straight to this machine, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(message, timeout=30) as answer:
            return json.load(answer)
    except OSError as error:
        raise DemoError(f"{method} {url} failed: {error}") from error


def chapter(number: int, title: str) -> None:
    print(f"\n{'-' * 100}\n{number}. {title}\n{'-' * 100}", flush=True)


def tell(text: str) -> None:
    print("\n" + textwrap.fill(" ".join(text.split()), 100), flush=True)


def show(values: dict[str, Any]) -> None:
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        print(f"        {name}: {textwrap.shorten(text, 220, placeholder=' ...')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
