"""What names, labels, ports and addresses may look like, and in which words they are refused.

Facts: k8s.io/apimachinery pkg/util/validation (validation.go, ip.go) and pkg/api/validation (generic.go), as of 1.36:
Services may start with a digit (KEP 5311), addresses and CIDRs are read strictly (KEP 4858). Each function answers with
the messages for one value; none means that it is good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from k8snet.manifests.addresses import is_ip, parse_cidr, parse_ip

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_ = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_ = rf"{_LABEL_}(\.{_LABEL_})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
_KEY_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_KEY_EXAMPLES = ("MyName", "my.name", "123-abc")


def _regex(words: str, pattern: str, *examples: str) -> str:
    """apimachinery's RegexError, with its odd commas."""
    if not examples:
        return f"{words} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{words} (e.g. {shown}regex used for validation is '{pattern}')"


def _checked(value: str, limit: int, pattern: str, words: str, *examples: str, unit: str = "characters") -> list[str]:
    found = [f"must be no more than {limit} {unit}"] if len(value.encode()) > limit else []
    return found if re.fullmatch(pattern, value) else [*found, _regex(words, pattern, *examples)]


def dns_label(value: str) -> list[str]:
    """A DNS-1123 label: Namespaces, Services, containers, Service ports, hostnames."""
    found = ["must be no more than 63 characters"] if len(value.encode()) > 63 else []
    if re.fullmatch(_LABEL, value):
        return found
    if re.fullmatch(_SUBDOMAIN, value):
        return [*found, "must not contain dots"]
    words = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
        "an alphanumeric character"
    )
    return [*found, _regex(words, _LABEL, "my-name", "123-abc")]


def empty_or_dns_label(value: str) -> list[str]:
    """A DNS-1123 label, or nothing."""
    return dns_label(value) if value else []


def dns_subdomain(value: str) -> list[str]:
    """A DNS-1123 subdomain: most names, host names, node names."""
    return _checked(value, 253, _SUBDOMAIN, _SUBDOMAIN_WORDS, "example.com")


def dns_search(value: str) -> list[str]:
    """An entry of dnsConfig.searches: underscores are allowed, and a final dot."""
    if value == ".":
        return []
    words = _SUBDOMAIN_WORDS.replace("'-' or", "'_', '-' or")
    return _checked(value.removesuffix("."), 253, _SUBDOMAIN_, words, "example.com")


def wildcard(value: str) -> list[str]:
    """A host with a ``*``: one, at the start, for one label."""
    words = (
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
        "case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
    )
    return _checked(value, 253, rf"\*\.{_SUBDOMAIN}", words, "*.example.com")


def host(value: str) -> list[str]:
    """A host name, which may begin with a wildcard."""
    return wildcard(value) if "*" in value else dns_subdomain(value)


def ingress_host(value: str) -> list[str]:
    """A host of an Ingress rule: a name, no address."""
    no_name = ["must be a DNS name, not an IP address"] if parse_ip(value) is not None else []
    return no_name + host(value)


def generated(rule: Callable[[str], list[str]], prefix: str) -> list[str]:
    """*rule* for a generateName: a dash at the end is good, something will follow it."""
    return rule(prefix[:-2] + "a" if len(prefix) > 1 and prefix.endswith("-") else prefix)


def label_key(value: str) -> list[str]:
    """``[prefix/]name``: labels, annotations, selectors, appProtocol."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        words = _regex(f"a valid label key {_KEY_WORDS}", _QUALIFIED, *_KEY_EXAMPLES)
        return [f"{words} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    found = []
    if slash and not prefix:
        found.append("prefix part must be non-empty")
    elif slash:
        messages = _checked(prefix, 253, _SUBDOMAIN, _SUBDOMAIN_WORDS, "example.com", unit="bytes")
        found += [f"prefix part {message}" for message in messages]
    if not name:
        found.append("name part must be non-empty")
    messages = _checked(name, 63, _QUALIFIED, _KEY_WORDS, *_KEY_EXAMPLES, unit="bytes")
    return found + [f"name part {message}" for message in messages]


def label_value(value: str) -> list[str]:
    """The value of a label; it may be empty."""
    words = (
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
        "end with an alphanumeric character"
    )
    return _checked(value, 63, f"({_QUALIFIED})?", words, "MyValue", "my_value", "12345", unit="bytes")


def data_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    words = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    found = _checked(value, 253, "[-._a-zA-Z0-9]+", words, "key.name", "KEY_NAME", "key-name")
    if value in (".", ".."):
        return [*found, f"must not be '{value}'"]
    return [*found, "must not start with '..'"] if value.startswith("..") else found


def env_name(value: str) -> list[str]:
    """The name of an environment variable (relaxed since 1.32)."""
    if all(" " <= c <= "~" and c != "=" for c in value):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def percent(value: str) -> list[str]:
    """A share of the replicas: ``25%``."""
    words = "a valid percent string must be a numeric string followed by an ending '%'"
    return [] if re.fullmatch("[0-9]+%", value) else [_regex(words, "[0-9]+%", "1%", "93%")]


def path_segment(value: str) -> list[str]:
    """Something that becomes a part of a URL path."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in value]


def url_path(value: str) -> list[str]:
    """The part of a domain-prefixed path behind the domain."""
    return [] if re.fullmatch(_PATH, value) else [_regex("Invalid path", _PATH)]


def port_number(value: int) -> list[str]:
    """A port: 1 to 65535."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """The name of a container port, which targetPort, probes and policies use (an IANA service name)."""
    found = ["must be no more than 15 characters"] if len(value.encode()) > 15 else []
    if not re.fullmatch("[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    return [*found, "must not begin or end with a hyphen"] if value[:1] == "-" or value[-1:] == "-" else found


def port(value: int | str) -> list[str]:
    """A port given by number or by name."""
    return port_name(value) if isinstance(value, str) else port_number(value)


def ip(value: str) -> list[str]:
    """An address, read strictly: no leading zeros, no IPv4 in IPv6."""
    found = None if "%" in value else parse_ip(value)
    if found is None:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if not is_ip(value):
        return ["must not have leading 0s"]
    mapped = isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped
    return ["must not be an IPv4-mapped IPv6 address"] if mapped else []


def cidr(value: str) -> list[str]:
    """A block of addresses, read strictly: nothing set beyond the prefix length."""
    block, (address, _, prefix) = parse_cidr(value), value.partition("/")
    if block is None or not re.fullmatch(r"[0-9]+", prefix) or "%" in address:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    messages = ip(address)
    if "must not have leading 0s" in messages or re.match(r"0\d", prefix):
        return ["must not have leading 0s in IP or prefix length"]
    if messages:
        return ["must not have an IPv4-mapped IPv6 address"]
    return [] if parse_ip(address) == block.network_address else ["must not have bits set beyond the prefix length"]


def ordinary_ip(value: str) -> list[str]:
    """An address that somebody can have: what external IPs and endpoints must be."""
    found = parse_ip(value)
    if found is None:
        return []
    ranges = (
        (found.is_unspecified, f"may not be unspecified ({value})"),
        (found.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (found.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (_link_local_multicast(found), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    )
    return [message for holds, message in ranges if holds]


def _link_local_multicast(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(found, ipaddress.IPv4Address):
        return found in ipaddress.IPv4Network("224.0.0.0/24")
    return int(found) >> 112 & 0xFF0F == 0xFF02
