"""By what a client and etcd know each other: certificates, and a user's name and password."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc


@dataclass(frozen=True, slots=True)
class Credentials:
    """Certificates and the key in PEM, as read from their files; all of it may be left out.

    Without `ca` an etcd at an https endpoint is checked against the authorities that gRPC brings along.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def of_channel(self) -> grpc.ChannelCredentials:
        """What gRPC wants for a connection with TLS."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)
