"""curl and wget as a Pod, a node or a machine outside runs them. What happened is decided in dataplane/fetch.py.

Texts and exit codes stand in ``curl.yaml``; milliseconds are simulated, so the same command prints the same line. Files
are not written, and no progress meter is drawn (as on a terminal).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urljoin

from k8snet.dataplane.client import Client
from k8snet.dataplane.fetch import Exchange, fetch
from k8snet.dataplane.http import PORTS, HeaderChange, Request, header
from k8snet.dataplane.moment import Moment
from k8snet.manifests.addresses import is_ip
from k8snet.shell.result import Result
from k8snet.shell.texts import table

VERSION = "8.14.1"
TEXTS: dict[str, Any] = table("curl")


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

    program: str = "curl"
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
            raise Failure(2, TEXTS[self.program]["number"].format(name=name, text=text))
        return float(text) or float("inf")


def _names(program: str, group: str) -> dict[str, str]:
    """Options as they are written, short and long, with their long names."""
    words = [word.partition(",") for word in TEXTS["options"][program][group].split()]
    return {f"--{name}": name for name, _, _ in words} | {f"-{short}": name for name, _, short in words if short}


def parse(arguments: Sequence[str], program: str = "curl") -> Options:
    """A command line as curl or wget reads it (short options may be joined). Raises Failure for an option it has not."""
    flags, values = _names(program, "flags"), _names(program, "values")
    options, left = Options(program), list(arguments)
    while left:
        word = left.pop(0)
        if not word.startswith("-") or word == "-":
            options.urls.append(word)
            continue
        name, joined = (word, "") if word.startswith("--") else (word[:2], word[2:])
        if program == "wget" and word.startswith("--"):
            name, _, joined = word.partition("=")
        while name in flags and joined:
            options.flags.add(flags[name])
            name, joined = f"-{joined[0]}", joined[1:]
        if name in values:
            if not joined and not left:
                raise Failure(2, TEXTS[program]["incomplete"].format(option=word, name=word.lstrip("-")))
            options.values.setdefault(values[name], []).append(joined or left.pop(0))
        elif name in flags:
            options.flags.add(flags[name])
        else:
            raise Failure(2, TEXTS[program]["unknown"].format(option=word, name=word.lstrip("-")))
    options.urls += options.values.pop("url", [])
    if not options.urls:
        raise Failure(2, TEXTS[program]["no url"])
    return options


def curl(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """``curl`` with its arguments (without the word curl). The journey of the last request is in ``trace``."""
    try:
        options = parse(arguments)
    except Failure as wrong:
        return Result("", f"curl: {wrong.text}\n{TEXTS['curl']['help']}", wrong.code)
    out, err, code, x = "", "", 0, None
    for text in options.urls:
        try:
            x, target, told, shown = _follow(moment, client, options, url(text))
            failed, err = failure(x, options, target), err + told
        except Failure as wrong:
            x, failed, shown = None, wrong, ""
        hidden = failed and failed.code == 22 and "fail-with-body" not in options.flags
        if x and x.response and not hidden and options.last("output") in ("", "-"):
            out += shown + ("" if "head" in options.flags else x.response.body)
        if failed:
            code = failed.code
            loud = "silent" not in options.flags or "show-error" in options.flags
            err += f"curl: ({code}) {failed.text}\n" if loud else ""
        if "write-out" in options.values:
            out += _write_out(options.last("write-out"), x, failed)
    return Result(out, err, code, trace=x.trace if x else None)


def _follow(moment: Moment, client: Client, options: Options, target: Url) -> tuple[Exchange, Url, str, str]:
    """The request and, with -L, those that redirects lead to: the last exchange and its URL, what -v says, the headers
    to show."""
    told, shown, first, method, most = "", "", target.host, _method(options), int(options.last("max-redirs", "50"))
    for _ in range(most + 1):
        asked, address = _request(options, target, method, target.host == first), _resolve(options, target)
        insecure = "insecure" in options.flags
        x = fetch(moment, client, target.name, asked, port=target.port, address=address, insecure=insecure)
        told += _verbose(x, target) if "verbose" in options.flags else ""
        shown += _head(x) + "\r\n" if x.response and options.flags & {"include", "head"} else ""
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


def _request(options: Options, target: Url, method: str, same_host: bool = True) -> Request:
    """The request that goes out. A Host header of one's own is for the first host only, not for where redirects lead."""
    parts = [h.partition(":") for h in options.values.get("header", [])]
    given = [(name.strip(), value.strip()) for name, colon, value in parts if colon]
    own_host = next((v for n, v in given if n.lower() == "host" and same_host), "")
    headers = [("User-Agent", options.last("user-agent", f"curl/{VERSION}")), ("Accept", "*/*")]
    body = "&".join(options.values.get("data", []) + options.values.get("data-raw", []))
    if body and method != "GET":
        headers += [("Content-Length", str(len(body))), ("Content-Type", "application/x-www-form-urlencoded")]
    added = tuple((n, v) for n, v in given if v and n.lower() != "host")
    change = HeaderChange(set=added, remove=tuple(n for n, v in given if not v))
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
        what, end = ("Connection", "") if x.error == "timeout" else ("Operation", " with 0 bytes received")
        return Failure(28, f"{what} timed out after {limit * 1000:.0f} milliseconds{end}")
    if not x.error:
        wants = options.flags & {"fail", "fail-with-body"} and x.status >= 400
        return Failure(22, f"The requested URL returned error: {x.status}") if wants else None
    code, text = TEXTS["curl"]["failures"][x.error]
    waited = f"{min(x.seconds, first) * 1000:.0f}"
    return Failure(
        code, text.format(host=target.host, port=target.port, waited=waited, detail=x.detail, verify=x.verify)
    )


def _head(x: Exchange) -> str:
    assert x.response is not None
    return f"HTTP/1.1 {x.response.title}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in x.response.headers)


def _verbose(x: Exchange, target: Url) -> str:
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
        lines.append(f"* connect to {x.address} port {x.port} failed: {_reason(x, 'curl')}")
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


def _reason(x: Exchange, program: str) -> str:
    """Why no connection came about."""
    texts = TEXTS[program]["connect"]
    return str(texts.get(x.trace.outcome.kind, texts["refused"]))


def _write_out(form: str, x: Exchange | None, failed: Failure | None) -> str:
    """``-w``: the variables that the course uses; one that curl has not is left as nothing."""
    known: dict[str, object] = {"exitcode": failed.code if failed else 0, "errormsg": failed.text if failed else ""}
    known |= dict.fromkeys(("http_code", "response_code"), f"{x.status if x else 0:03}")
    if x is not None:
        r = x.request
        known |= {"url_effective": f"{r.scheme}://{r.host}{r.path}", "remote_ip": x.address, "remote_port": x.port}
        known |= {"time_namelookup": f"{x.lookup_seconds:.6f}", "time_total": f"{x.seconds:.6f}"}
        known |= {"redirect_url": header(x.response.headers, "Location") or "" if x.response else ""}
    form = re.sub(r"\\([ntr])", lambda m: {"n": "\n", "t": "\t", "r": "\r"}[m[1]], form)
    return re.sub(r"%\{(\w+)\}", lambda m: str(known.get(m[1], "")), form)


def wget(moment: Moment, client: Client, arguments: Sequence[str]) -> Result:
    """BusyBox ``wget`` with its arguments (without the word wget)."""
    given = ""
    try:
        options = parse(arguments, "wget")
        options.values.setdefault("user-agent", ["Wget"])
        given = options.urls[0]
        target, limit = url(given), options.seconds("timeout")
    except Failure as wrong:
        reason = {1: f"not an http or ftp url: {given}", 3: f"bad address '{given}'"}.get(wrong.code, wrong.text)
        return Result("", f"{reason}\n" if reason.startswith("Usage") else f"wget: {reason}\n", 1)
    output, quiet, spider = options.last("output"), "quiet" in options.flags, "spider" in options.flags
    asked = _request(options, target, "HEAD" if spider else "GET")
    x = fetch(moment, client, target.name, asked, port=target.port, insecure=True)
    told = f"Connecting to {target.authority} ({x.address}:{x.port})\n" if x.address and not quiet else ""
    failed = "slow" if x.seconds > limit else x.error or ("status" if x.status >= 400 else "")
    if failed or x.response is None:
        forms, host = TEXTS["wget"]["failures"], given.rpartition("://")[2].partition("/")[0]
        text = forms.get(failed, forms["other"]).format(x=x, host=host, reason=_reason(x, "wget"))
        return Result("", f"{told}wget: {text}\n", 1, trace=x.trace)
    name = target.path.partition("?")[0].rpartition("/")[2] or "index.html"
    if not quiet and not spider:
        told += "writing to stdout\n" if output == "-" else f"saving to '{name}'\n'{name}' saved\n"
    return Result(x.response.body if output == "-" and not spider else "", told, trace=x.trace)


TOOLS = {"curl": curl, "wget": wget}
