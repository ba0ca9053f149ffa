"""What an HTTP request, an answer and a proxy's decision are, for Ingress, Gateway and plain web servers alike.

Requests and answers carry what routing looks at and no more. A proxy's `Decision` is a set of shares: each `Share` of
the requests goes to one Service, or is answered by the proxy itself (404, 500, 503, a redirect). One share of 1 is the
common case; weights make several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from k8snet.manifests.kinds import Ref

PORTS = {"http": 80, "https": 443}
Headers = tuple[tuple[str, str], ...]
Endpoints = tuple[tuple[str, int], ...]


def header(headers: Headers, name: str) -> str | None:
    """The value of a header, its name taken without case; values of one name joined by a comma; None if absent."""
    values = [v for n, v in headers if n.lower() == name.lower()]
    return ",".join(values) if values else None


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """A header filter: ``set`` overwrites, ``add`` appends with a comma, ``remove`` deletes; names without case."""

    set: Headers = ()
    add: Headers = ()
    remove: tuple[str, ...] = ()

    def apply(self, headers: Headers) -> Headers:
        """*headers* as they leave the filter."""
        result, spelt = dict(headers), {n.lower(): n for n, _ in headers}
        for name, value in self.set:
            result[spelt.setdefault(name.lower(), name)] = value
        for name, value in self.add:
            name = spelt.setdefault(name.lower(), name)
            result[name] = f"{result[name]},{value}" if name in result else value
        for name in self.remove:
            result.pop(spelt.get(name.lower(), name), None)
        return tuple(result.items())


@dataclass(frozen=True, slots=True)
class Request:
    """A request. ``host`` is the Host header with its port if it names one, ``path`` has the query; ``sni`` is the
    server name of the TLS handshake, empty for http and for clients that used an address."""

    host: str
    path: str = "/"
    method: str = "GET"
    scheme: str = "http"
    headers: Headers = ()
    sni: str = ""

    @property
    def hostname(self) -> str:
        """The Host without port and letter case: what rules are compared with."""
        host = self.host.lower()
        return host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]

    @property
    def pathname(self) -> str:
        """The path without its query."""
        return self.path.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, and who gave it in plain words (``said_by``)."""

    status: int
    said_by: str
    headers: Headers = ()
    body: str = ""

    @property
    def title(self) -> str:
        """Status and its words: ``404 Not Found``."""
        return title(self.status)


def title(status: int) -> str:
    """A status and its words: ``404 Not Found``."""
    return f"{status} {HTTPStatus(status).phrase}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Service that gets a copy of a percentage of the requests; its answers are dropped."""

    service: str
    port: int
    percent: float
    rule: Ref
    endpoints: Endpoints = ()


@dataclass(frozen=True, slots=True)
class Share:
    """What a share of the requests gets: the Service behind ``rule`` with its ready ``endpoints`` (``ip, port``), or,
    where ``status`` is not 0, an answer of the proxy itself. ``request`` is what the backend sees after all filters.
    ``of`` is the share as a part of 1."""

    of: float
    why: str
    rule: Ref | None = None
    service: str = ""
    port: int = 0
    endpoints: Endpoints = ()
    request: Request | None = None
    response: tuple[HeaderChange, ...] = ()
    status: int = 0
    location: str = ""
    mirrors: tuple[Mirror, ...] = ()

    @property
    def backend(self) -> str:
        """``namespace/service:port``; empty if the proxy answers itself."""
        return f"{self.service}:{self.port}" if not self.status else ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a TLS server shows: the Secret it is from (``namespace/name``; empty: the server's own), the names that it is
    valid for, and what clients mind about its issuer (OpenSSL's words; empty: they trust it)."""

    secret: str
    names: tuple[str, ...] = ()
    problem: str = ""

    def covers(self, name: str) -> bool:
        """Whether it is valid for a host name: equal, a wildcard for exactly one label (RFC 6125); ``*`` for all."""
        name = name.lower().removesuffix(".")
        return any(n in (name, "*") or (n.startswith("*.") and n[2:] == name.partition(".")[2]) for n in self.names)

    def __str__(self) -> str:
        source = f"the certificate of Secret {self.secret}" if self.secret else "the server's own certificate"
        return f"{source}, valid for {', '.join(self.names) or 'no name'}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What a proxy does with a request: ``shares`` (their parts make 1), the ``rule`` that won and why, why each other
    candidate ``lost``, and the certificate that was shown. ``tls_failure``: the handshake ended here and why."""

    shares: tuple[Share, ...]
    why: str
    rule: Ref | None = None
    lost: tuple[str, ...] = ()
    certificate: Certificate | None = None
    tls_failure: str = ""

    @property
    def status(self) -> int:
        """The status if the proxy answers every request itself in one way, else 0."""
        return self.shares[0].status if len(self.shares) == 1 else 0

    @property
    def backend(self) -> str | None:
        """``namespace/service:port`` where all requests go to one backend, else None."""
        return self.shares[0].backend or None if len(self.shares) == 1 else None


def answered(
    status: int, why: str, rule: Ref | None = None, lost: tuple[str, ...] = (), shown: Certificate | None = None
) -> Decision:
    """The proxy answers every request itself with *status*."""
    return Decision((Share(1.0, why, rule, status=status),), why, rule, lost, shown)


Candidate = TypeVar("Candidate")


def choose(
    candidates: Iterable[Candidate],
    problem: Callable[[Candidate], str],
    order: Callable[[Candidate], Any],
    beaten: Callable[[Candidate, Candidate], str],
) -> tuple[Candidate | None, list[tuple[Candidate, str]]]:
    """What a request goes by, of all that a proxy's table holds; and why each other lost.

    *problem* says why one does not take the request (empty: it does), *order* sorts those that do, and *beaten* says why
    one of them comes after the winner.
    """
    known = [(c, problem(c)) for c in candidates]
    taking = sorted((c for c, why in known if not why), key=order)
    late = [(c, f"{c} takes it too, but {beaten(c, taking[0])}") for c in taking[1:]]
    return taking[0] if taking else None, [(c, why) for c, why in known if why] + late
