"""What an HTTP request, an answer and a proxy's decision are, for Ingress, Gateway and plain web servers alike.

Requests and answers carry what routing looks at and no more. A proxy's `Decision` is a set of shares: each `Share` of
the requests goes to one Service, or is answered by the proxy itself (404, 500, 503, a redirect). One share of 1 is the
common case; weights make several.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from k8snet.manifests.kinds import Ref

PORTS = {"http": 80, "https": 443}
REASONS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    421: "Misdirected Request",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

Headers = tuple[tuple[str, str], ...]


def header(headers: Headers, name: str) -> str | None:
    """The value of a header, its name taken without case; values of one name joined by a comma; None if absent."""
    values = [v for n, v in headers if n.lower() == name.lower()]
    return ",".join(values) if values else None


def with_headers(
    headers: Headers, set_: Iterable[tuple[str, str]], add: Iterable[tuple[str, str]] = (), remove: Iterable[str] = ()
) -> Headers:
    """*headers* after a header filter: ``set`` overwrites, ``add`` appends with a comma, ``remove`` deletes."""
    result = dict(headers)

    def known(name: str) -> str:
        return next((n for n in result if n.lower() == name.lower()), name)

    for name, value in set_:
        result[known(name)] = value
    for name, value in add:
        name = known(name)
        result[name] = f"{result[name]},{value}" if name in result else value
    for name in remove:
        result.pop(known(name), None)
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
    body: str = ""

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
    def reason(self) -> str:
        """The words behind the status: ``Not Found``."""
        return REASONS.get(self.status, "")


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """A header filter: pairs to set and to add, names to remove."""

    set: Headers = ()
    add: Headers = ()
    remove: tuple[str, ...] = ()

    def apply(self, headers: Headers) -> Headers:
        """*headers* as they leave the filter."""
        return with_headers(headers, self.set, self.add, self.remove)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A Service that gets a copy of a percentage of the requests; its answers are dropped."""

    service: str
    port: int
    percent: float
    rule: Ref
    endpoints: tuple[tuple[str, int], ...] = ()


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
    endpoints: tuple[tuple[str, int], ...] = ()
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
        name = name.lower()
        return any(n in (name, "*") or (n.startswith("*.") and n[2:] == name.partition(".")[2]) for n in self.names)


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


def answer(status: int, why: str, rule: Ref | None = None, of: float = 1.0) -> Share:
    """The share of requests that a proxy answers itself."""
    return Share(of, why, rule, status=status)


def scaled(shares: Iterable[Share]) -> tuple[Share, ...]:
    """Shares whose parts make 1, from shares that hold weights; those of weight 0 get nothing."""
    weighted = [s for s in shares if s.of > 0]
    total = sum(s.of for s in weighted)
    return tuple(replace(s, of=s.of / total) for s in weighted)
