"""Certificates for tests: an authority, one for servers, and some for clients, as files in PEM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trustme


class Certificates:
    """All from one authority, whose own certificate is `ca`; each with its key beside it."""

    def __init__(self, directory: Path, hosts: Sequence[str] = ("127.0.0.1", "localhost")) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._authority = trustme.CA()
        self._clients: dict[str, tuple[Path, Path]] = {}
        self.ca = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)
        self.server = self._files("server", self._authority.issue_cert(*hosts))

    def client(self, name: str) -> tuple[Path, Path]:
        """The certificate and key of who is called so (its common name)."""
        if name not in self._clients:
            issued = self._authority.issue_cert(f"{name}.test", common_name=name)
            self._clients[name] = self._files(f"client-{name}", issued)
        return self._clients[name]

    def _files(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}-key.pem"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key
