"""curl and wget as a Pod, a node or a machine outside runs them.

Texts and exit codes are those of curl 8 and of BusyBox wget; milliseconds are simulated, so the same command prints the
same line. Files are not written, and no progress meter is drawn (as on a terminal). What happened is decided in
dataplane/fetch.py; this file only words it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin

from k8snet.dataplane.client import Client
from k8snet.dataplane.fetch import Exchange, fetch
from k8snet.dataplane.http import PORTS, Headers, Request, header, with_headers
from k8snet.dataplane.moment import Moment
from k8snet.manifests.addresses import is_ip
from k8snet.shell.result import Result

VERSION = "8.14.1"
FLAGS = {
    "s": "silent",
    "S": "show-error",
    "k": "insecure",
    "v": "verbose",
    "L": "location",
    "I": "head",
    "f": "fail",
    "i": "include",
    "g": "globoff",
    "G": "get",
    "N": "no-buffer",
    "4": "ipv4",
    "6": "ipv6",
    "#": "progress-bar",
    **{
        n: n
        for n in ("http1.1", "http2", "path-as-is", "no-progress-meter", "fail-with-body", "tcp-nodelay", "compressed")
    },
}
VALUES = {
    "o": "output",
    "w": "write-out",
    "H": "header",
    "X": "request",
    "m": "max-time",
    "d": "data",
    "A": "user-agent",
    "u": "user",
    **{
        n: n
        for n in (
            "resolve",
            "connect-timeout",
            "max-redirs",
            "data-raw",
            "cacert",
            "retry",
            "retry-delay",
            "url",
            "noproxy",
        )
    },
}
LEGITIMACY = """More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the webpage mentioned above."""


@dataclass(frozen=True)
class Url:
    """The parts of a URL that curl acts on."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What goes into the Host header: the port only where it is not the scheme's own."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


class Failure(Exception):
    """curl gives up: exit code and what it says after ``curl: (code) ``."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass
class Options:
    """A parsed command line: flags, values by long option name in the order given, URLs."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)

    def last(self, name: str, default: str = "") -> str:
        """The value given last, as curl uses it."""
        return self.values.get(name, [default])[-1]

    def seconds(self, name: str) -> float | None:
        """A time limit; None if there is none."""
        text = self.last(name, "0")
        if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
            raise Failure(2, f"option --{name}: expected a proper numerical parameter")
        return float(text) or None


def parse(arguments: Sequence[str]) -> Options:
    """The command line as curl reads it (short options may be joined). Raises Failure for an option it has not."""
    options, left = Options(), list(arguments)

    def take(option: str, name: str, value: str | None) -> None:
        if value is None and not left:
            raise Failure(2, f"option {option}: requires parameter")
        options.values.setdefault(name, []).append(left.pop(0) if value is None else value)

    while left:
        word = left.pop(0)
        if word.startswith("--") and len(word) > 2:
            if word[2:] in FLAGS.values():
                options.flags.add(word[2:])
            elif word[2:] in VALUES.values():
                take(word, word[2:], None)
            else:
                raise Failure(2, f"option {word}: is unknown")
        elif word.startswith("-") and len(word) > 1:
            for i, letter in enumerate(word[1:], 1):
                if letter in VALUES:
                    take(word, VALUES[letter], word[i + 1 :] or None)
                    break
                if letter not in FLAGS:
                    raise Failure(2, f"option {word}: is unknown")
                options.flags.add(FLAGS[letter])
        else:
            options.urls.append(word)
    options.urls += options.values.pop("url", [])
    if not options.urls:
        raise Failure(2, "no URL specified")
    return options


_URL = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::(?P<port>[^/?#]*))?(?P<path>[^#]*)"
)


def url(text: str) -> Url:
    """A URL as curl takes it from the command line, http if it names no scheme. Raises Failure."""
    m = _URL.match(text)
    assert m is not None
    scheme = (m["scheme"] or "http").lower()
    if scheme not in PORTS:
        raise Failure(1, f'Protocol "{scheme}" not supported')
    if not m["host"]:
        raise Failure(3, "URL rejected: No host part in the URL")
    if re.search(r"[\s\"'<>^`{|}\\]", m["host"]):
        raise Failure(3, "URL rejected: Malformed input to a URL function")
    if m["port"] and not (m["port"].isdigit() and int(m["port"]) <= 65535):
        raise Failure(3, "URL rejected: Port number was not a decimal number between 0 and 65535")
    path = m["path"] or "/"
    return Url(scheme, m["host"], int(m["port"] or PORTS[scheme]), path if path.startswith("/") else f"/{path}")


def curl(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """``curl`` with its arguments (without the word curl). The journey of the last request is in ``trace``."""
    try:
        options = parse(arguments)
    except Failure as e:
        said = f"({e.code}) {e.text}" if e.text.startswith("no URL") else e.text
        return Result("", f"curl: {said}\ncurl: try 'curl --help' or 'curl --manual' for more information\n", e.code)
    out, err, code, exchange = "", "", 0, None
    for text in options.urls:
        try:
            target = url(text)
            exchange, told, headers = _follow(moment, client, options, target)
            failed = failure(exchange, options, target)
        except Failure as e:
            exchange, told, headers, failed = None, "", "", e
        err += told
        shown = exchange is not None and exchange.response is not None
        if (
            shown
            and exchange
            and exchange.response
            and not (failed and "fail-with-body" not in options.flags and failed.code == 22)
        ):
            body = headers + ("" if "head" in options.flags else exchange.response.body)
            out += body if options.last("output") in ("", "-") else ""
        if failed:
            code = failed.code
            if "silent" not in options.flags or "show-error" in options.flags:
                err += f"curl: ({code}) {failed.text}\n"
        if "write-out" in options.values:
            out += write_out(options.last("write-out"), exchange, failed, text)
    return Result(out, err, code, trace=exchange.trace if exchange else None)


def _follow(moment: Moment, client: Client, options: Options, target: Url) -> tuple[Exchange, str, str]:
    """The request and, with -L, those that redirects lead to: the last exchange, what -v says, the headers shown."""
    told, shown, first, method = "", "", target.host, _method(options)
    for _ in range(int(options.last("max-redirs", "50")) + 1):
        request = _request(options, target, method, keep_host=target.host == first)
        exchange = fetch(
            moment,
            client,
            target.host.strip("[]"),
            request,
            port=target.port,
            address=_resolve(options, target),
            insecure="insecure" in options.flags,
        )
        if "verbose" in options.flags:
            told += verbose(exchange, target)
        if exchange.response is None:
            return exchange, told, shown
        if options.flags & {"include", "head"}:
            shown += _head(exchange) + "\r\n"
        location = header(exchange.response.headers, "Location")
        if "location" not in options.flags or location is None or exchange.status // 100 != 3:
            return exchange, told, shown
        if exchange.status in (301, 302, 303) and method == "POST" and "request" not in options.values:
            method = "GET"
        target = url(urljoin(str(target), location))
    raise Failure(47, f"Maximum ({options.last('max-redirs', '50')}) redirects followed")


def _method(options: Options) -> str:
    data = options.values.keys() & {"data", "data-raw"} and "get" not in options.flags
    return options.last("request") or ("HEAD" if "head" in options.flags else "POST" if data else "GET")


def _request(options: Options, target: Url, method: str, keep_host: bool) -> Request:
    body = "&".join(options.values.get("data", []) + options.values.get("data-raw", [])) if method != "GET" else ""
    given: Headers = tuple(
        (n.strip(), v.strip()) for n, sep, v in (h.partition(":") for h in options.values.get("header", [])) if sep
    )
    host = (header(given, "Host") if keep_host else None) or target.authority
    headers: Headers = (("User-Agent", options.last("user-agent", f"curl/{VERSION}")), ("Accept", "*/*"))
    if body:
        headers += (("Content-Length", str(len(body))), ("Content-Type", "application/x-www-form-urlencoded"))
    headers = with_headers(
        headers, [(n, v) for n, v in given if n.lower() != "host" and v], (), [n for n, v in given if not v]
    )
    sni = "" if target.scheme == "http" or is_ip(target.host.strip("[]")) else target.host
    return Request(host, target.path, method, target.scheme, headers, sni, body)


def _resolve(options: Options, target: Url) -> str:
    """The address that ``--resolve host:port:address`` gives for a URL; empty if there is none."""
    for entry in reversed(options.values.get("resolve", [])):
        host, _, rest = entry.lstrip("+-").partition(":")
        port, _, address = rest.partition(":")
        if not address:
            raise Failure(49, f"Couldn't parse CURLOPT_RESOLVE entry '{entry}'")
        if host.lower() in (target.host.lower(), "*") and port == str(target.port):
            return address.split(",")[0].strip("[]")
    return ""


def failure(x: Exchange, options: Options, target: Url) -> Failure | None:
    """What curl exits with and says about an exchange; None if it is content."""
    limit, connecting = options.seconds("max-time"), options.seconds("connect-timeout")
    first = min((s for s in (limit, connecting) if s is not None), default=float("inf"))
    if x.lookup_seconds > first:
        return Failure(28, f"Resolving timed out after {_ms(first)} milliseconds")
    if x.error == "timeout" and x.seconds > first and first == limit:
        return Failure(28, f"Connection timed out after {_ms(first)} milliseconds")
    after = f"Failed to connect to {target.host} port {target.port} after {_ms(min(x.seconds, first))} ms"
    if x.verify and "insecure" not in options.flags:
        return Failure(60, f"{x.verify}\n{LEGITIMACY}")
    if limit is not None and x.seconds > limit and x.error != "timeout":
        return Failure(28, f"Operation timed out after {_ms(limit)} milliseconds with 0 bytes received")
    if not x.error:
        wants = options.flags & {"fail", "fail-with-body"} and x.status >= 400
        return Failure(22, f"The requested URL returned error: {x.status}") if wants else None
    code, text = {
        "name": (6, f"Could not resolve host: {target.host}"),
        "connect": (7, f"{after}: Couldn't connect to server"),
        "timeout": (28, f"{after}: Timeout was reached"),
        "tls": (35, x.detail),
        "empty": (52, "Empty reply from server"),
        "not http": (1, "Received HTTP/0.9 when not allowed"),
        "reset": (56, "Recv failure: Connection reset by peer"),
        "undefined": (56, f"k8snet cannot say: {x.detail}"),
    }[x.error]
    return Failure(code, text)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _head(x: Exchange) -> str:
    r = x.response
    assert r is not None
    return f"HTTP/1.1 {r.status} {r.reason}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in r.headers)


def verbose(x: Exchange, target: Url) -> str:
    """What ``-v`` writes to standard error about one exchange."""
    lines, r = [], x.request
    if x.addresses and not is_ip(target.host.strip("[]")):
        lines.append(f"* Host {target.host}:{target.port} was resolved.")
        for name, six in (("IPv6", True), ("IPv4", False)):
            lines.append(f"* {name}: {', '.join(a for a in x.addresses if (':' in a) is six) or '(none)'}")
    elif not x.addresses:
        return f"* Could not resolve host: {target.host}\n* closing connection #0\n"
    lines += [
        f"*   Trying {f'[{a}]' if ':' in a else a}:{x.port}..." for a in x.addresses[: x.addresses.index(x.address) + 1]
    ]
    if x.error in ("connect", "timeout"):
        reason = {"timeout": "Connection timed out"}.get(x.error) or (
            "No route to host" if x.trace.outcome.kind == "no route" else "Connection refused"
        )
        lines += [f"* connect to {x.address} port {x.port} failed: {reason}", "* closing connection #0"]
        return "".join(f"{line}\n" for line in lines)
    lines.append(f"* Connected to {target.host} ({x.address}) port {x.port}")
    if r.scheme == "https" and x.certificate:
        lines += [
            "* SSL connection using TLSv1.3",
            "* Server certificate:",
            f"*  subjectAltName: {', '.join(x.certificate.names) or '(none)'}",
            f"*  from: {'Secret ' + x.certificate.secret if x.certificate.secret else 'the server itself'}",
            f"*  {x.verify or 'SSL certificate verify ok.'}",
        ]
    if x.response or x.error in ("empty", "reset", "not http"):
        lines += [f"> {r.method} {r.path} HTTP/1.1", f"> Host: {r.host}", *(f"> {n}: {v}" for n, v in r.headers), "> "]
    if x.response:
        lines += [f"< {line}" for line in (*_head(x).split("\r\n")[:-1], "")]
        lines.append(f"* Connection #0 to host {target.host} left intact")
    else:
        lines.append("* closing connection #0")
    return "".join(f"{line}\n" for line in lines)


def write_out(form: str, x: Exchange | None, failed: Failure | None, given: str) -> str:
    """``-w``: the variables that the course uses; one that curl has not is left as nothing."""
    r = x.response if x else None
    known = {
        "http_code": f"{r.status if r else 0:03}",
        "response_code": f"{r.status if r else 0:03}",
        "exitcode": failed.code if failed else 0,
        "errormsg": failed.text.partition("\n")[0] if failed else "",
        "url": given,
        "url_effective": f"{x.request.scheme}://{x.request.host}{x.request.path}" if x else given,
        "method": x.request.method if x else "",
        "scheme": x.request.scheme if x else "",
        "remote_ip": x.address if x else "",
        "remote_port": x.port if x else 0,
        "size_download": len(r.body) if r else 0,
        "content_type": (header(r.headers, "Content-Type") if r else "") or "",
        "redirect_url": (header(r.headers, "Location") if r else "") or "",
        "ssl_verify_result": 18 if x and x.verify else 0,
        "time_namelookup": f"{x.lookup_seconds if x else 0:.6f}",
        "time_connect": f"{x.seconds if x else 0:.6f}",
        "time_total": f"{x.seconds if x else 0:.6f}",
    }
    form = form.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    return re.sub(r"%\{(\w+)\}", lambda m: str(known.get(m[1], "")), form)


def wget(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """BusyBox ``wget`` with its arguments (without the word wget)."""
    quiet, to_stdout, spider, limit, headers, urls, left = False, False, False, None, [], [], list(arguments)
    while left:
        word = left.pop(0)
        joined = re.fullmatch(r"-(q?)(O|T)(.*)", word)
        if joined:
            value = joined[3] or (left.pop(0) if left else "")
            quiet = quiet or bool(joined[1])
            if joined[2] == "O":
                to_stdout = value == "-"
            else:
                limit = float(value) if value.replace(".", "", 1).isdigit() else None
        elif word.startswith("--timeout="):
            limit = float(word.partition("=")[2])
        elif word == "--header" and left:
            headers.append(left.pop(0))
        elif word in ("-q", "-S", "-c", "--spider", "--no-check-certificate"):
            quiet, spider = quiet or word == "-q", spider or word == "--spider"
        elif word.startswith("-"):
            return Result("", f"wget: unrecognized option: {word.lstrip('-')}\n", 1)
        else:
            urls.append(word)
    if not urls:
        return Result("", "Usage: wget [-cqS] [--spider] [-O FILE] [-T SEC] [--header STR] URL...\n", 1)
    try:
        target = url(urls[0])
    except Failure as e:
        return Result(
            "", f"wget: bad address '{urls[0]}'\n" if e.code == 3 else f"wget: not an http or ftp url: {urls[0]}\n", 1
        )
    options = Options(values={"header": headers, "user-agent": ["Wget"]})
    request = _request(options, target, "HEAD" if spider else "GET", keep_host=True)
    x = fetch(moment, client, target.host.strip("[]"), request, port=target.port, insecure=True)
    told = "" if quiet else f"Connecting to {target.authority} ({x.address}:{x.port})\n" if x.address else ""
    if x.error == "name" and not (limit and x.seconds > limit):
        text = f"bad address '{re.sub('^[a-z]+://', '', urls[0]).partition('/')[0]}'"
    elif limit and x.seconds > limit:
        text = "download timed out"
    elif x.error in ("connect", "timeout"):
        kind = {"timeout": "Operation timed out"}.get(x.error, "Connection refused")
        kind = "Host is unreachable" if x.trace.outcome.kind == "no route" else kind
        text = f"can't connect to remote host ({x.address}): {kind}"
    elif x.response is None:
        text = "error getting response" + (": Connection reset by peer" if x.error == "reset" else "")
    elif x.status >= 400:
        text = f"server returned error: HTTP/1.1 {x.status} {x.response.reason}"
    else:
        name = target.path.partition("?")[0].rpartition("/")[2] or "index.html"
        if not quiet and not spider:
            told += "writing to stdout\n" if to_stdout else f"saving to '{name}'\n'{name}' saved\n"
        return Result(x.response.body if to_stdout and not spider else "", told, 0, trace=x.trace)
    return Result("", f"{told}wget: {text}\n", 1, trace=x.trace)


TOOLS = {"curl": curl, "wget": wget}
