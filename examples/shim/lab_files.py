"""Drives a lab controller that reads its objects from a directory: a JSON file for each, `<key>.<kind>`."""

import json
from pathlib import Path

from oslo_config import cfg

from gluon.shim.backend import Backend
from gluon.shim.errors import TemporaryError

OPTIONS = [cfg.StrOpt("directory", default="lab", help="Where the controller reads its objects.")]


class LabFiles(Backend):
    """Plain functions: the shim calls them in threads, so they may block."""

    def __init__(self, context):
        super().__init__(context)
        context.conf.register_opts(OPTIONS, group="shim_lab")
        self.directory = Path(context.conf.shim_lab.directory) / context.service

    def check(self):
        return f"lab controller in {self.directory.parent.resolve(strict=True)}"

    def start(self):
        self.directory.mkdir(parents=True, exist_ok=True)

    def reconcile(self, desired):
        found = [path for path in self.directory.iterdir() if path.suffix != ".new"]
        keys = {port.key for port in desired.bound_ports} | {vpn.key for vpn in desired.services}
        for path in found:
            if path.stem not in keys:
                path.unlink(missing_ok=True)

    def held_keys(self):
        return {path.stem for path in self.directory.iterdir()}

    def bind_port(self, port):
        self._write(port, "port", {"mac": port.mac_address, "host": port.host_id})
        return {"vif_type": "ovs", "vif_details": {"bridge_name": "br-lab"}}

    def unbind_port(self, port):
        (self.directory / f"{port.key}.port").unlink(missing_ok=True)

    def modify_service(self, service):
        self._write(service, "network", {"name": service.get("name")})

    def delete_service(self, service):
        (self.directory / f"{service.key}.network").unlink(missing_ok=True)

    def _write(self, view, kind, content):
        fresh = self.directory / f"{view.key}.new"
        try:
            fresh.write_text(json.dumps(content))
            fresh.replace(self.directory / f"{view.key}.{kind}")
        except OSError as error:
            raise TemporaryError("the lab controller's directory can't be written") from error
