"""A backend for shim servers in processes of their own: it appends a line to a file for each call."""

from __future__ import annotations

import os
from pathlib import Path

from gluon.shim.backend import Backend, BackendContext, Vif
from gluon.shim.backends.dummy import VIF
from gluon.shim.views import View


class RecordingBackend(Backend):
    """Each line is `callback key`; the file is $RECORD."""

    def __init__(self, context: BackendContext) -> None:
        super().__init__(context)
        self._file = Path(os.environ["RECORD"])

    def _tell(self, callback: str, view: View) -> None:
        with self._file.open("a") as file:
            file.write(f"{callback} {view.key}\n")

    def bind_port(self, port: View) -> Vif:
        self._tell("bind_port", port)
        return VIF

    def unbind_port(self, port: View) -> None:
        self._tell("unbind_port", port)

    def modify_port(self, port: View) -> None:
        self._tell("modify_port", port)

    def delete_port(self, port: View) -> None:
        self._tell("delete_port", port)

    def modify_service(self, service: View) -> None:
        self._tell("modify_service", service)

    def delete_service(self, service: View) -> None:
        self._tell("delete_service", service)
