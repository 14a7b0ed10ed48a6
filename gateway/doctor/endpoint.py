"""The OPC UA endpoint: its certificate, the name that clients are told, its port."""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from gateway.config import GatewayConfig
from gateway.doctor.files import services_of
from gateway.doctor.finding import Finding, error, ok, warning
from gateway.opcua.security import weakness

SOON = timedelta(days=60)
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared only
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))


def running(data: Path) -> int:
    """Return the process id of the gateway that uses this data folder now; 0 when there is none."""
    try:
        pid = int(json.loads((data / "pids.json").read_text())["supervisor"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    return pid


def advertised(config: GatewayConfig) -> str:
    """Return the host that clients are told, as the server does."""
    return socket.gethostname() if config.opcua.host in EVERYWHERE else config.opcua.host


def certificate(config: GatewayConfig) -> Iterator[Finding]:
    """Look at the server's certificate."""
    path = services_of(config).pki / "own" / "certs" / "gateway.der"
    remedy = "move it and its key away: the next start makes new ones, which clients must trust anew"
    if not path.exists():
        yield ok("opcua.certificate", "none yet: the first start makes it")
        return
    why = "OPC UA clients refuse the connection"
    try:
        found = x509.load_der_x509_certificate(path.read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as refused:
        yield error("opcua.certificate", f"{path}: not usable ({refused})", why, remedy)
        return
    now = datetime.now(UTC)
    bad = False
    if weak := weakness(found, now):
        bad = True
        yield error("opcua.certificate", f"{path}: {weak}", why, remedy)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if config.opcua.application_uri not in uris:
        bad = True
        what = f"{path}: made for {', '.join(uris) or 'no application'}, not for {config.opcua.application_uri}"
        yield error("opcua.certificate", what, why, remedy)
    host = advertised(config)
    hosts = {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}
    if host not in hosts:
        bad = True
        what = f"{path}: names {', '.join(sorted(hosts))}, not {host}, which clients are told"
        yield warning("opcua.certificate", what, "strict clients refuse a certificate of another host", remedy)
    if not bad and found.not_valid_after_utc - now < SOON:
        bad = True
        what = f"{path}: ends on {found.not_valid_after_utc:%Y-%m-%d}"
        yield warning("opcua.certificate", what, f"after that {why}", remedy)
    if not bad:
        yield ok("opcua.certificate", f"valid to {found.not_valid_after_utc:%Y-%m-%d}, for {host}")


def endpoint(config: GatewayConfig) -> Iterator[Finding]:
    """Look at the name or address that clients are told."""
    host = advertised(config)
    try:
        found = {str(a[4][0]) for a in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as refused:
        why = "a client that was told this name cannot find the server again"
        remedy = "enter the name in the plant's DNS or /etc/hosts, or set opcua.host to an address"
        yield error("opcua.endpoint", f"clients are told {host}, which does not resolve: {refused}", why, remedy)
        return
    loopback = all(ipaddress.ip_address(a.partition("%")[0]).is_loopback for a in found)
    if config.opcua.host in EVERYWHERE and loopback:
        what = f"it listens everywhere, but clients are told {host}, which is {', '.join(sorted(found))} here"
        why = "clients elsewhere look for the server on their own machine, if they resolve it likewise"
        yield warning("opcua.endpoint", what, why, "set opcua.host to the address of the card that clients reach")
    elif loopback:
        yield ok("opcua.endpoint", f"{host}: for clients on this machine only")
    else:
        yield ok("opcua.endpoint", f"clients are told {host} ({', '.join(sorted(found))})")
    if not loopback and any(mark.exists() for mark in CONTAINER_MARKS):
        what = f"this is a container; clients are told {host}"
        why = "behind NAT or a forwarded port clients are sent to an address that they cannot reach"
        remedy = "run it in the host's network, or let clients keep the address that they connected to"
        yield warning("opcua.nat", what, why, remedy)


def port(config: GatewayConfig) -> Iterator[Finding]:
    """Look whether the port is the gateway's to take."""
    host, number = config.opcua.host, config.opcua.port
    if not number:
        yield ok("opcua.port", "a free one at each start, as configured")
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE and (pid := running(config.data)):
            yield ok("opcua.port", f"{number} is in use, and the gateway runs (process {pid})")
            return
        what = {
            errno.EADDRINUSE: "is used by another program",
            errno.EADDRNOTAVAIL: f"cannot be had: no network card of this machine has the address {host}",
            errno.EACCES: "may not be used by this user (below 1024)",
        }.get(refused.errno or 0, f"cannot be had: {refused.strerror}")
        remedy = f"ss -ltnp 'sport = :{number}' shows who holds it; or set opcua.port and opcua.host"
        yield error("opcua.port", f"{number} {what}", "the services process cannot serve OPC UA", remedy)
        return
    yield ok("opcua.port", f"{number} on {host} is free")
