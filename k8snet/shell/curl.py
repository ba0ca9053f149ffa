"""curl as a Pod, a node or a machine outside runs it. What happened is decided in dataplane/fetch.py; here it is worded.

Texts and exit codes are those of curl 8 (src/tool_operate.c, lib/connect.c, lib/multi.c); milliseconds are simulated, so
the same command prints the same line. Files are not written, and no progress meter is drawn (as on a terminal).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urljoin

from k8snet.dataplane.client import Client
from k8snet.dataplane.fetch import Exchange, fetch
from k8snet.dataplane.http import PORTS, HeaderChange, Request, header
from k8snet.dataplane.moment import Moment
from k8snet.manifests.addresses import is_ip
from k8snet.shell.result import Result

VERSION = "8.14.1"
# Options by their short letter; those without one stand for themselves.
FLAGS = dict(zip("sSkvLIfiGNg46", ("silent", "show-error", "insecure", "verbose", "location", "head", "fail", "include", "get", "no-buffer", "globoff", "ipv4", "ipv6"), strict=True))  # fmt: skip
VALUES = dict(zip("owHXmdAu", ("output", "write-out", "header", "request", "max-time", "data", "user-agent", "user"), strict=True))  # fmt: skip
LONG_FLAGS = {*FLAGS.values(), "fail-with-body", "no-progress-meter", "http1.1", "http2", "path-as-is", "compressed"}
LONG_VALUES = {*VALUES.values(), "resolve", "connect-timeout", "max-redirs", "data-raw", "url", "retry", "cacert"}
HELP = "curl: try 'curl --help' or 'curl --manual' for more information\n"
LEGITIMACY = """More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the webpage mentioned above."""


class Failure(Exception):
    """curl gives up: exit code and what it says after ``curl: (code) ``."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Url(NamedTuple):
    """The parts of a URL that a client acts on; ``authority`` is host and port as in the Host header."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What goes into the Host header: the port only where it is not the scheme's own."""
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def name(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return self.host.strip("[]")


_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::([^/?#]*))?([^#]*)")


def url(text: str) -> Url:
    """A URL as curl takes it from the command line, http if it names no scheme. Raises Failure."""
    scheme, host, port, path = (part or "" for part in _URL.findall(text)[0])
    scheme, path = scheme.lower() or "http", path or "/"
    if scheme not in PORTS:
        raise Failure(1, f'Protocol "{scheme}" not supported')
    if not host:
        raise Failure(3, "URL rejected: No host part in the URL")
    if re.search(r"[\s\"'<>^`{|}\\]", host):
        raise Failure(3, "URL rejected: Malformed input to a URL function")
    if port and not (port.isdigit() and int(port) <= 65535):
        raise Failure(3, "URL rejected: Port number was not a decimal number between 0 and 65535")
    return Url(scheme, host, int(port or PORTS[scheme]), path if path.startswith("/") else f"/{path}")


@dataclass
class Options:
    """A parsed command line: flags, values by long option name in the order given, URLs."""

    flags: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)

    def last(self, name: str, default: str = "") -> str:
        """The value given last, as curl uses it."""
        return self.values.get(name, [default])[-1]

    def seconds(self, name: str) -> float:
        """A time limit; infinite if there is none."""
        text = self.last(name, "0")
        if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
            raise Failure(2, f"option --{name}: expected a proper numerical parameter")
        return float(text) or float("inf")


def parse(arguments: Sequence[str]) -> Options:
    """The command line as curl reads it (short options may be joined). Raises Failure for an option it has not."""
    options, left = Options(), list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            options.urls.append(word)
            continue
        letters = [] if word.startswith("--") else list(word[1:])
        name, joined = word[2:], ""
        for i, letter in enumerate(letters):
            name = FLAGS.get(letter) or VALUES.get(letter) or ""
            if letter in VALUES:
                joined = word[i + 2 :]
                break
            options.flags.add(name)
        if name in LONG_VALUES:
            if not joined and not left:
                raise Failure(2, f"option {word}: requires parameter")
            options.values.setdefault(name, []).append(joined or left.pop(0))
        elif name in LONG_FLAGS and "" not in options.flags:
            options.flags.add(name)
        else:
            raise Failure(2, f"option {word}: is unknown")
    options.urls += options.values.pop("url", [])
    if not options.urls:
        raise Failure(2, "(2) no URL specified")
    return options


def curl(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """``curl`` with its arguments (without the word curl). The journey of the last request is in ``trace``."""
    try:
        options = parse(arguments)
    except Failure as e:
        return Result("", f"curl: {e.text}\n{HELP}", e.code)
    out, err, code, x = "", "", 0, None
    for text in options.urls:
        failed: Failure | None
        try:
            target = url(text)
            x, target, told, shown = _follow(moment, client, options, target)
            failed, err = failure(x, options, target), err + told
        except Failure as e:
            x, shown, failed = None, "", e
        hidden = failed is not None and failed.code == 22 and "fail-with-body" not in options.flags
        if x and x.response and not hidden and options.last("output") in ("", "-"):
            out += shown + ("" if "head" in options.flags else x.response.body)
        if failed:
            code = failed.code
            if "silent" not in options.flags or "show-error" in options.flags:
                err += f"curl: ({code}) {failed.text}\n"
        if "write-out" in options.values:
            out += write_out(options.last("write-out"), x, failed)
    return Result(out, err, code, trace=x.trace if x else None)


def _follow(moment: Moment, client: Client, options: Options, target: Url) -> tuple[Exchange, Url, str, str]:
    """The request and, with -L, those that redirects lead to: the last exchange and its URL, what -v says, the headers
    to show."""
    told, shown, first, method, most = "", "", target.host, _method(options), int(options.last("max-redirs", "50"))
    for _ in range(most + 1):
        asked, address = request(options, target, method, target.host == first), _resolve(options, target)
        insecure = "insecure" in options.flags
        x = fetch(moment, client, target.name, asked, port=target.port, address=address, insecure=insecure)
        if "verbose" in options.flags:
            told += verbose(x, target)
        if x.response and options.flags & {"include", "head"}:
            shown += _head(x) + "\r\n"
        location = header(x.response.headers, "Location") if x.response else None
        if location is None or "location" not in options.flags:
            return x, target, told, shown
        if x.status in (301, 302, 303) and method == "POST" and "request" not in options.values:
            method = "GET"
        target = url(urljoin(f"{target.scheme}://{target.authority}{target.path}", location))
    raise Failure(47, f"Maximum ({most}) redirects followed")


def _method(options: Options) -> str:
    sends = options.values.keys() & {"data", "data-raw"} and "get" not in options.flags
    return options.last("request") or ("HEAD" if "head" in options.flags else "POST" if sends else "GET")


def request(options: Options, target: Url, method: str, same_host: bool = True) -> Request:
    """The request that goes out. A Host header of one's own is for the first host only, not for where redirects lead."""
    given = [
        (n.strip(), v.strip()) for n, colon, v in (h.partition(":") for h in options.values.get("header", [])) if colon
    ]
    own_host = next((v for n, v in given if n.lower() == "host" and same_host), "")
    headers = [("User-Agent", options.last("user-agent", f"curl/{VERSION}")), ("Accept", "*/*")]
    body = "&".join(options.values.get("data", []) + options.values.get("data-raw", []))
    if body and method != "GET":
        headers += [("Content-Length", str(len(body))), ("Content-Type", "application/x-www-form-urlencoded")]
    change = HeaderChange(
        set=tuple((n, v) for n, v in given if v and n.lower() != "host"), remove=tuple(n for n, v in given if not v)
    )
    sni = target.host.removesuffix(".") if target.scheme == "https" and not is_ip(target.name) else ""
    return Request(own_host or target.authority, target.path, method, target.scheme, change.apply(tuple(headers)), sni)


def _resolve(options: Options, target: Url) -> str:
    """The address that ``--resolve host:port:address`` gives for a URL; empty if there is none."""
    for entry in reversed(options.values.get("resolve", [])):
        host, port, address = (*entry.lstrip("+").split(":", 2), "", "")[:3]
        if not address:
            raise Failure(49, f"Couldn't parse CURLOPT_RESOLVE entry '{entry}'")
        if host.lower() in (target.host.lower(), "*") and port == str(target.port):
            return address.split(",")[0].strip("[]")
    return ""


def failure(x: Exchange, options: Options, target: Url) -> Failure | None:
    """What curl exits with and says about an exchange; None if it is content."""
    limit, first = options.seconds("max-time"), min(options.seconds("max-time"), options.seconds("connect-timeout"))
    if x.lookup_seconds > first:
        return Failure(28, f"Resolving timed out after {first * 1000:.0f} milliseconds")
    if x.seconds > limit:
        if x.error == "timeout":
            return Failure(28, f"Connection timed out after {limit * 1000:.0f} milliseconds")
        return Failure(28, f"Operation timed out after {limit * 1000:.0f} milliseconds with 0 bytes received")
    if not x.error:
        wants = options.flags & {"fail", "fail-with-body"} and x.status >= 400
        return Failure(22, f"The requested URL returned error: {x.status}") if wants else None
    waited = f"Failed to connect to {target.host} port {target.port} after {min(x.seconds, first) * 1000:.0f} ms"
    code, text = {
        "name": (6, f"Could not resolve host: {target.host}"),
        "connect": (7, f"{waited}: Couldn't connect to server"),
        "timeout": (28, f"{waited}: Timeout was reached"),
        "tls": (35, x.detail),
        "certificate": (60, f"{x.verify}\n{LEGITIMACY}"),
        "empty": (52, "Empty reply from server"),
        "not http": (1, "Received HTTP/0.9 when not allowed"),
        "reset": (56, "Recv failure: Connection reset by peer"),
        "undefined": (56, f"k8snet cannot say: {x.detail}"),
    }[x.error]
    return Failure(code, text)


def _head(x: Exchange) -> str:
    assert x.response is not None
    return f"HTTP/1.1 {x.response.title}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in x.response.headers)


def verbose(x: Exchange, target: Url) -> str:
    """What ``-v`` writes to standard error about one exchange."""
    lines, r, end = [], x.request, "* closing connection #0"
    if x.error == "name":
        lines.append(f"* Could not resolve host: {target.host}")
    elif not is_ip(target.name):
        v4, v6 = [a for a in x.addresses if ":" not in a], [a for a in x.addresses if ":" in a]
        lines.append(f"* Host {target.host}:{target.port} was resolved.")
        lines += [f"* IPv6: {', '.join(v6) or '(none)'}", f"* IPv4: {', '.join(v4) or '(none)'}"]
    for a in x.addresses[: x.addresses.index(x.address) + 1] if x.address else ():
        lines.append(f"*   Trying {f'[{a}]' if ':' in a else a}:{x.port}...")
    if x.error in ("connect", "timeout"):
        kinds = {"timed out": "Connection timed out", "no route": "No route to host"}
        reason = kinds.get(x.trace.outcome.kind, "Connection refused")
        lines.append(f"* connect to {x.address} port {x.port} failed: {reason}")
    elif x.error != "name":
        lines.append(f"* Connected to {target.host} ({x.address}) port {x.port}")
    if x.certificate:
        lines += [f"* Server certificate: {x.certificate}", f"*  {x.verify or 'SSL certificate verify ok.'}"]
    if x.response or x.error in ("empty", "reset", "not http"):
        lines += [f"> {r.method} {r.path} HTTP/1.1", f"> Host: {r.host}", *(f"> {n}: {v}" for n, v in r.headers), "> "]
    if x.response:
        lines += [f"< {line}" for line in _head(x).split("\r\n")]
        end = f"* Connection #0 to host {target.host} left intact"
    return "".join(f"{line}\n" for line in (*lines, end))


def write_out(form: str, x: Exchange | None, failed: Failure | None) -> str:
    """``-w``: the variables that the course uses; one that curl has not is left as nothing."""
    known: dict[str, object] = {"exitcode": failed.code if failed else 0, "errormsg": failed.text if failed else ""}
    known |= {"http_code": f"{x.status if x else 0:03}", "response_code": f"{x.status if x else 0:03}"}
    if x is not None:
        r, headers = x.request, x.response.headers if x.response else ()
        known |= {
            "url_effective": f"{r.scheme}://{r.host}{r.path}",
            "method": r.method,
            "scheme": r.scheme,
            "remote_ip": x.address,
            "remote_port": x.port,
            "size_download": len(x.response.body) if x.response else 0,
            "content_type": header(headers, "Content-Type") or "",
            "redirect_url": header(headers, "Location") or "",
            "time_namelookup": f"{x.lookup_seconds:.6f}",
            "time_total": f"{x.seconds:.6f}",
        }
    form = form.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
    return re.sub(r"%\{(\w+)\}", lambda m: str(known.get(m[1], "")), form)


def wget(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """BusyBox ``wget`` with its arguments (without the word wget; networking/wget.c)."""
    options, left = Options(values={"user-agent": ["Wget"]}), list(arguments)
    while left:
        word = left.pop(0)
        m = re.fullmatch(r"(-q?)(O|T)(.*)|--(timeout|header)=?(.*)", word)
        if m:
            name = {"O": "output", "header": "header"}.get(m[2] or m[4], "max-time")
            options.values.setdefault(name, []).append(m[3] or m[5] or (left.pop(0) if left else ""))
            options.flags.add(m[1])
        elif word in ("-q", "-S", "-c", "--spider", "--no-check-certificate"):
            options.flags.add(word)
        elif word.startswith("-"):
            return Result("", f"wget: unrecognized option: {word.lstrip('-')}\n", 1)
        else:
            options.urls.append(word)
    if not options.urls:
        return Result("", "Usage: wget [-cqS] [--spider] [-O FILE] [-T SEC] [--header STR] URL...\n", 1)
    given, output, quiet, spider = (
        options.urls[0],
        options.last("output"),
        "-q" in options.flags,
        "--spider" in options.flags,
    )
    try:
        target, limit = url(given), options.seconds("max-time")
    except Failure as e:
        reason = {1: f"not an http or ftp url: {given}", 3: f"bad address '{given}'"}.get(e.code, "invalid number")
        return Result("", f"wget: {reason}\n", 1)
    asked = request(options, target, "HEAD" if spider else "GET")
    x = fetch(moment, client, target.name, asked, port=target.port, insecure=True)
    told = f"Connecting to {target.authority} ({x.address}:{x.port})\n" if x.address and not quiet else ""
    kinds = {"timed out": "Operation timed out", "no route": "Host is unreachable"}
    if x.seconds > limit:
        text = "download timed out"
    elif x.error == "name":
        text = f"bad address '{given.partition('://')[2] or given}'".partition("/")[0].rstrip("'") + "'"
    elif x.error in ("connect", "timeout"):
        why = kinds.get(x.trace.outcome.kind, "Connection refused")
        text = f"can't connect to remote host ({x.address}): {why}"
    elif x.response is None:
        text = "error getting response"
    elif x.status >= 400:
        text = f"server returned error: HTTP/1.1 {x.response.title}"
    else:
        name = target.path.partition("?")[0].rpartition("/")[2] or "index.html"
        if not quiet and not spider:
            told += "writing to stdout\n" if output == "-" else f"saving to '{name}'\n'{name}' saved\n"
        return Result(x.response.body if output == "-" and not spider else "", told, trace=x.trace)
    return Result("", f"{told}wget: {text}\n", 1, trace=x.trace)


TOOLS = {"curl": curl, "wget": wget}
