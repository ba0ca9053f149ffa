"""IP addresses and CIDR blocks as text, compared by value.

Objects hold addresses as text and so do packets; this file is the one place that turns that text into numbers.
Old objects may hold what newer API servers refuse (``010.0.0.1``, ``10.0.0.5/24``): they are read as Go's lenient
parser reads them, because the data plane has to work with what is stored.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LEADING_ZEROS = re.compile(r"(?<![^.])0+(?=[0-9])")


@lru_cache(maxsize=65536)
def parse_ip(text: str) -> IPAddress | None:
    """The address that *text* stands for, or None. Leading zeros of IPv4 parts are read as decimal."""
    try:
        return ipaddress.ip_address(text if ":" in text else _LEADING_ZEROS.sub("", text))
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def parse_cidr(text: str) -> IPNetwork | None:
    """The block that *text* stands for, host bits cleared, or None if it is no CIDR."""
    address, slash, prefix = text.partition("/")
    ip = parse_ip(address)
    if ip is None or not slash:
        return None
    try:
        return ipaddress.ip_network(f"{ip}/{int(prefix)}", strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def normal(text: str) -> str:
    """*text* in its one canonical spelling (shortest IPv6, no leading zeros); unchanged if it is no address."""
    ip = parse_ip(text)
    return str(ip) if ip is not None else text


@lru_cache(maxsize=262144)
def in_cidr(ip: str, cidr: str) -> bool:
    """Whether the address *ip* lies in the block *cidr*; False if either is malformed or the families differ."""
    address, block = parse_ip(ip), parse_cidr(cidr)
    return address is not None and block is not None and address.version == block.version and address in block


def in_any(ip: str, cidrs: tuple[str, ...]) -> bool:
    """Whether *ip* lies in one of the blocks."""
    return any(in_cidr(ip, cidr) for cidr in cidrs)


@lru_cache(maxsize=65536)
def is_ip(text: str) -> bool:
    """Whether *text* is an address literal (IPv4 or IPv6), as a resolver or an API field would take it."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65536)
def family(ip: str) -> str:
    """``"IPv6"`` or ``"IPv4"``, as in ``spec.ipFamilies``."""
    return "IPv6" if ":" in ip else "IPv4"


def host_port(ip: str, port: int) -> str:
    """``10.0.0.1:80`` or ``[fd00::1]:80``."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
