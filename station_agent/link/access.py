"""How this station signs in at the broker: address, TLS and secrets, read once at start so that faults show there."""

import ssl
from dataclasses import dataclass

from firmware_config.station import Station


@dataclass(frozen=True, slots=True)
class Access:
    """Everything a connection needs to know about the broker.

    Attributes:
        keepalive_s: seconds of silence after which the client pings.
        tls: None for a broker on this very machine.
    """

    host: str
    port: int
    keepalive_s: int
    tls: ssl.SSLContext | None
    username: str | None
    password: str | None


def access_of(station: Station) -> Access:
    """Read the files the station file names.

    Raises:
        OSError: one of them cannot be read; the error names it.
        ssl.SSLError: a certificate or key is not one.
    """
    broker = station.config.broker
    password = None
    if broker.password_file is not None:
        password = station.beside(broker.password_file).read_text(encoding="utf-8").partition("\n")[0].strip()
    return Access(
        host=broker.host,
        port=broker.port,
        keepalive_s=broker.keepalive_s,
        tls=_context(station) if broker.tls else None,
        username=broker.username,
        password=password,
    )


def _context(station: Station) -> ssl.SSLContext:
    broker = station.config.broker
    authorities = None if broker.ca_file is None else str(station.beside(broker.ca_file))
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.certificate_file is not None and broker.key_file is not None:
        context.load_cert_chain(station.beside(broker.certificate_file), station.beside(broker.key_file))
    return context
