"""Where a webhook may be sent: which URLs, and, decisively, which addresses their names turn out to have."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

URL_MAX: Final = 2000
_PORTS: Final = {"http": 80, "https": 443}
#: IPv6 networks whose last 32 bits are an IPv4 address that a translator on the way would turn them into.
_TRANSLATED: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")
)
#: Global to the registries, but a cloud's own services to a machine in it.
_METADATA: Final = tuple(
    ipaddress.ip_network(network) for network in ("168.63.129.16/32", "192.88.99.0/24", "fd00:ec2::254/128")
)


def url_refusal(url: str) -> str | None:
    """What is wrong with the URL as a text, or None. What its host leads to is looked at when connecting."""
    if len(url) > URL_MAX:
        return f"Must be at most {URL_MAX} characters."
    if not url.isascii() or any(character <= " " or character in '\x7f"<>\\^`{|}' for character in url):
        return (
            "Must be a URL in ASCII, without spaces; percent-encode others, and write the host in punycode."
        )
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "Must be a URL such as https://example.com/webhooks."
    if not is_whole:
        return "Must be a URL such as https://example.com/webhooks."
    if "@" in parts.netloc:
        return "Must not hold a user name or password."
    return "Must not have a fragment." if "#" in url else None


def literal_refusal(url: str, *, allow_private: bool) -> str | None:
    """What is wrong with the URL's host when it is an address, in whatever spelling; None for names."""
    host = urlsplit(url).hostname or ""
    address = _literal(host)
    if address is None and host.rstrip(".").rpartition(".")[2] == "localhost":
        address = ipaddress.ip_address("127.0.0.1")
    return address_refusal(address, allow_private=allow_private) if address is not None else None


def url_port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def address_refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why nothing is sent to this address, or None.

    `allow_private` is for development: it opens loopback and private networks, never link-local ones, where clouds keep
    their machines' credentials.
    """
    return next(
        (f"{address} is {reason}" for one in _faces(address) if (reason := _reason(one, allow_private))), None
    )


def _reason(address: Address, allow_private: bool) -> str | None:
    if any(address in network for network in _METADATA if network.version == address.version):
        return "an address of a cloud's own services"
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return "a link-local, multicast or unspecified address"
    if address.is_global and not address.is_reserved and not getattr(address, "is_site_local", False):
        return None
    return None if allow_private else "not an address of the public internet"


def _faces(address: Address) -> list[Address]:
    """The address, or what it really leads to: IPv4 in one of its IPv6 disguises."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED) and address.packed[:15] != bytes(15):
        inner.append(ipaddress.IPv4Address(address.packed[12:]))
    found: list[Address] = [each for each in inner if each is not None]
    return found or [address]


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # 127.1, 0x7f.1, 017700000001, 2130706433: what every resolver takes for an address.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
