"""dig, nslookup, host and getent as a Pod, a node or a machine outside runs them.

Output and exit codes are those of BIND 9.18's tools, of glibc's getent and, in images that have it instead, of BusyBox
1.35; the words stand in ``dns_tools.yaml``. What is asked and answered is decided in dataplane/lookup.py. Left out:
interactive modes, and nslookup's lines ``Got recursion not available from …`` and ``Got SERVFAIL reply from …``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from k8snet.controlplane import podfiles
from k8snet.controlplane.metadata import containers_of
from k8snet.dataplane import lookup, resolver
from k8snet.dataplane.client import Client
from k8snet.dataplane.dns import Answer, Record
from k8snet.dataplane.dnsnames import absolute
from k8snet.dataplane.lookup import Asker
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Outcome, Trace
from k8snet.manifests.addresses import is_ip
from k8snet.shell.result import Result
from k8snet.shell.texts import table

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
TEXTS: dict[str, Any] = table("dns_tools")
TYPES = TEXTS["types"].split()
FAILURES = {"TIMEOUT": "timed out", "CONNREFUSED": "connection refused"}
RCODES = {"SERVFAIL": "2(SERVFAIL)", "NXDOMAIN": "3(NXDOMAIN)", "REFUSED": "5(REFUSED)"}


@dataclass(frozen=True)
class Got:
    """A reply, the nameserver that gave it (by address and as it was named) and the protocol."""

    reply: Answer
    server: tuple[str, str]
    protocol: str


@dataclass
class Run:
    """One command's run: whom it asks and how patiently, what it has printed so far, how long it waited."""

    moment: Moment
    client: Client
    words: list[str]
    tries: int = 3
    patience: int = 5
    quiet: bool = False
    out: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.asker = Asker(self.moment, self.client)
        self.conf = resolver.resolv_conf(self.moment.snapshot, self.asker.pod)
        self.servers = [(ip, ip) for ip in self.conf.nameservers or ("127.0.0.1",)]

    def use_server(self, name: str) -> bool:
        """Ask the server named on the command line instead; False if its name leads nowhere."""
        found = lookup.getaddrinfo(self.moment, self.client, name)
        self.servers = [(ip, name) for ip in found.addresses]
        return bool(found)

    def put(self, name: str, qtype: str, tcp: bool = False) -> Got:
        """One question, to the nameservers in turn, all of them as often as it is tried."""
        got = Got(Answer(name, qtype, "TIMEOUT"), self.servers[0], "UDP")
        for server in self.servers * self.tries:
            got = self._once(name, qtype, server, "TCP" if tcp else "UDP")
            failure, at = FAILURES.get(got.reply.rcode), f"{server[0]}#53"
            if failure is None and (got.reply.rcode != "SERVFAIL" or server is self.servers[-1]):
                break
            if failure and got.protocol == "UDP":
                self.out.append(f";; communications error to {at}: {failure}")
            elif failure:
                told = f";; Connection to {at}({server[1]}) for {name.rstrip('.')} failed: {failure}."
                self.out += [told, ";; no servers could be reached"]
            if got.reply.rcode == "TIMEOUT":
                self.seconds += self.patience * (2 if got.protocol == "TCP" else 1)
        return got

    def _once(self, name: str, qtype: str, server: tuple[str, str], protocol: str) -> Got:
        reply = self.asker.ask(name, qtype, server[0], protocol)
        if protocol == "UDP" and reply.rcode not in FAILURES and self.asker.truncates(reply):
            self.out += [] if self.quiet else [";; Truncated, retrying in TCP mode."]
            return self._once(name, qtype, server, "TCP")
        return Got(reply, server, protocol)

    def search(self, name: str, qtype: str, how: str = "search", tcp: bool = False) -> Got:
        """Question after question along the search list: what the last one got."""
        got: list[Got] = []

        def ask(candidate: str) -> Answer:
            got.append(self.put(candidate, qtype, tcp))
            return got[-1].reply

        resolver.search(self.conf, name, ask, how)
        return got[-1]

    def end(self, exit_code: int = 0, stderr: str = "") -> Result:
        """What the terminal shows. The questions are the hops of the trace; a run that got nothing has a hint."""
        hops = tuple(self.asker.hops)
        outcome = Outcome("name not found" if exit_code else "delivered", f"exit code {exit_code}", self.seconds)
        trace = Trace(f"{self.client.name}: {' '.join(self.words)}", hops, outcome)
        nothing = all(hop.decision != "NOERROR" for hop in hops)
        hint = lookup.telling(self.moment.snapshot, hops) if nothing else ""
        if hint and self.words[0] == "dig" and hops[0].decision == "NXDOMAIN" and "+search" not in self.words:
            hint += " (dig asks a name as it stands; with +search it uses the search list as programs do)"
        return Result("".join(f"{line}\n" for line in self.out), stderr, exit_code, hint, trace)


# dig


def dig(moment: Moment, client: Client, arguments: list[str]) -> Result:
    """``dig``: @server, names, types, -x, -t, +short +search +tcp +noall +answer … +time=N +tries=N."""
    run = Run(moment, client, ["dig", *arguments])
    on = dict.fromkeys(TEXTS["display"].split(), True) | dict.fromkeys(TEXTS["switches"].split(), False)
    try:
        questions, server, warning = _read(run, on, arguments)
    except ValueError as wrong:
        real = str(wrong).split("=")[0] in TEXTS["not_simulated"].split()
        text = f"dig: {wrong} is not simulated\n" if real else f"Invalid option: {wrong}\n{TEXTS['usage']}"
        return Result(stderr=text, exit_code=1)
    if server and not run.use_server(server):
        return run.end(1, f"dig: couldn't get address for '{server}': not found\n")
    run.asker.limit, run.asker.opt, run.quiet = lookup.DIG, 23, on["short"] or not on["comments"]
    greeting = ["", " ".join([TEXTS["greeting"], *arguments])]
    greeting += [f"; ({len(run.servers)} server{'s' * (len(run.servers) > 1)} found)"] * bool(server)
    greeting = [*greeting, ";; global options: +cmd"] if on["cmd"] and not on["short"] else []
    exit_code = 0
    for name, qtype in questions:
        got = run.search(name, qtype, "search" if on["search"] else "dig", on["tcp"] or qtype == "ANY")
        if got.reply.rcode not in FAILURES:
            run.out += [r.data for r in got.reply.answers] if on["short"] else [*greeting, *_message(run, on, got)]
        else:
            run.out += [*greeting, ";; no servers could be reached"] if got.protocol == "UDP" else []
            exit_code = 9
        greeting = []
    return run.end(exit_code, warning)


def _read(run: Run, on: dict[str, bool], arguments: Sequence[str]) -> tuple[list[tuple[str, str]], str, str]:
    """dig's words: the questions, the server and a warning. A type counts for the name before it, else for all names.

    Raises ValueError with the word that dig does not know.
    """
    names: list[list[str]] = []
    default, server, warning, words = "", "", "", list(arguments)
    while words:
        word = words.pop(0)
        flag = word[:2] if word[:1] == "-" else word[:1]
        if flag in ("-x", "-t") and not (value := word[2:] or (words.pop(0) if words else "")):
            raise ValueError(word)
        qtype = (value if flag == "-t" else word).upper()
        if flag == "+":
            _plus(run, on, word)
        elif flag == "@":
            server = word[1:]
        elif flag == "-x":
            names.append([_reverse(value), "PTR"])
        elif qtype in TYPES and names:
            names[-1][1] = qtype
        elif qtype in TYPES:
            default = qtype
        elif flag == "-t":
            warning = f";; Warning, ignoring invalid type {value}\n"
        elif flag[:1] == "-":
            raise ValueError(word)
        elif qtype != "IN":
            names.append([word, default])
    return [(name, qtype or "A") for name, qtype in names] or [(".", default or "NS")], server, warning


def _plus(run: Run, on: dict[str, bool], word: str) -> None:
    """Set a ``+`` option. Raises ValueError if there is none of that name here."""
    name, _, value = word[1:].partition("=")
    wanted, name = not name.startswith("no"), name.removeprefix("no")
    if name == "all":
        on.update(dict.fromkeys(TEXTS["display"].split(), wanted))
    elif name in on:
        on[name] = wanted
    elif value.isdigit() and name in ("time", "tries"):
        setattr(run, {"time": "patience"}.get(name, name), max(1, int(value)))
    else:
        raise ValueError(word)


def _message(run: Run, on: dict[str, bool], got: Got) -> list[str]:
    """A reply as dig shows it."""
    reply, lines = got.reply, _header(run, got.reply) if on["comments"] else []
    sections = {"answer": reply.answers, "authority": reply.authority, "additional": reply.additional}
    rows = {"question": [";" + _columns(reply.name, "IN", reply.type, starts=(32, 40))]}
    for word, records in sections.items():
        rows[word] = [_columns(r.name, str(r.ttl), "IN", r.type, r.data, starts=(24, 32, 40, 48)) for r in records]
    for word, section in rows.items():
        if section and on[word]:
            lines += [f";; {word.upper()} SECTION:", *section, ""] if on["comments"] else section
    if on["stats"]:
        size = lookup.size(reply, run.asker.opt)
        if got.protocol == "UDP" and size > run.asker.limit:
            size = lookup.size(reply, run.asker.opt, compressed=True)
        when = (EPOCH + timedelta(seconds=run.moment.now)).strftime("%a %b %d %H:%M:%S UTC %Y")
        server = f"{got.server[0]}#53({got.server[1]}) ({got.protocol})"
        lines += [";; Query time: 0 msec", f";; SERVER: {server}", f";; WHEN: {when}", f";; MSG SIZE  rcvd: {size}", ""]
    return lines


def _header(run: Run, reply: Answer) -> list[str]:
    warnings = {
        "multicast": TEXTS["multicast"] if reply.name.lower().endswith(".local.") else "",
        "alone": "" if reply.ra else ";; WARNING: recursion requested but not available\n",
    }
    flags = " ".join(["qr", *["aa"] * reply.aa, "rd", *["ra"] * reply.ra])
    counts = [len(section) for section in (reply.answers, reply.authority, (*reply.additional, "OPT"))]
    number, cookie = run.moment.rng.randrange(65536), f"{run.moment.rng.getrandbits(64):016x}"
    facts = {"reply": reply, "id": number, "flags": flags, "counts": counts, "limit": run.asker.limit, "cookie": cookie}
    return str(TEXTS["header"]).format(**facts, **warnings).split("\n")


def _columns(*fields: str, starts: Sequence[int]) -> str:
    """Fields at their columns or one further on, reached by as many tabs as there are stops between, then spaces."""
    text, at = fields[0], len(fields[0].removeprefix(";"))
    for word, start in zip(fields[1:], starts, strict=True):
        start = max(start, at + 1)
        tabs = start // 8 - at // 8
        text += "\t" * tabs + " " * (start % 8 if tabs else start - at) + word
        at = start + len(word)
    return text


def _reverse(address: str) -> str:
    """The name under which an address is looked up; any other text as it is."""
    return ipaddress.ip_address(address).reverse_pointer + "." if is_ip(address) else address


# nslookup and host


def nslookup(moment: Moment, client: Client, arguments: list[str]) -> Result:
    """``nslookup [-type=TYPE] NAME [SERVER]``, BIND's or BusyBox's by image."""
    run = Run(moment, client, ["nslookup", *arguments])
    options = [w[1:].partition("=") for w in arguments if w[:1] == "-"]
    wanted = next((value.upper() for name, _, value in options if name in ("type", "query", "querytype", "q")), "")
    name, *servers = [w for w in arguments if w[:1] != "-"] or [""]
    if not name or (servers and not run.use_server(servers[0])):
        return run.end(1, f"nslookup: couldn't get address for '{servers[0]}': not found\n" if servers else "")
    if _has_busybox(run):
        return _busybox_nslookup(run, name, wanted, bool(servers))
    if wanted and wanted not in TYPES:
        run.out.append(f"unknown query type: {wanted.lower()}")
        wanted = ""
    replies = _first_and_more(run, name, wanted, ("AAAA",))
    first, server, last = replies[0].reply, replies[0].server, replies[-1].reply
    if first.rcode in FAILURES:
        run.out += [";; no servers could be reached", ""]
        return run.end(1)
    if not is_ip(name):
        run.out += [f"Server:\t\t{server[1]}", f"Address:\t{server[0]}#53", ""]
    body: list[str] = []
    for r in (got.reply for got in replies):
        if r.rcode != "NOERROR":
            body.append(f"** server can't find {r.name.rstrip('.')}: {r.rcode}")
        elif r.answers and not (r.aa or body or is_ip(name)):
            body.append("Non-authoritative answer:")
        body += [_worded(record, "nslookup") for record in r.answers]
    if not body:
        body = ["Non-authoritative answer:"] * (not last.aa)
        body.append(f"*** Can't find {name if wanted else last.name.rstrip('.')}: No answer")
    if wanted not in ("", "A") and first.rcode == "NOERROR" and not first.aa:
        body += ["", "Authoritative answers can be found from:"]
    run.out += [*body, ""]
    return run.end(int(last.rcode != "NOERROR"))


def host(moment: Moment, client: Client, arguments: list[str]) -> Result:
    """``host [-t TYPE] NAME [SERVER]``."""
    run, words, wanted = Run(moment, client, ["host", *arguments], tries=2, quiet=True), list(arguments), ""
    if "-t" in words[:-1]:
        wanted = words.pop(words.index("-t") + 1).upper()
    name, *servers = [w for w in words if w[:1] != "-"] or [""]
    if wanted and wanted not in TYPES:
        return run.end(2, f"host: invalid type: {wanted.lower()}\n\n")
    if not name:
        return run.end(1, "Usage: host NAME\n")
    if servers:
        if not run.use_server(servers[0]):
            return run.end(1, f"host: couldn't get address for '{servers[0]}': not found\n")
        address = f"{run.servers[0][0]}#53"
        run.out += ["Using domain server:", f"Name: {servers[0]}", f"Address: {address}", "Aliases: ", ""]
    replies = [got.reply for got in _first_and_more(run, name, wanted, ("AAAA", "MX"))]
    for r in replies:
        short = r.name.rstrip(".")
        if r.rcode in FAILURES:
            run.out.append(";; no servers could be reached")
        elif r.rcode != "NOERROR":
            run.out.append(f"Host {r.name if is_ip(name) else short} not found: {RCODES[r.rcode]}")
        elif wanted and not r.answers:
            run.out.append(f"{short} has no {wanted} record")
        run.out += [_worded(record, "host") for record in r.answers]
    return run.end(int(any(r.rcode != "NOERROR" for r in replies)))


def _first_and_more(run: Run, name: str, wanted: str, more: Sequence[str]) -> list[Got]:
    """What nslookup and host ask: A along the search list, then further types of the name that it led to."""
    if is_ip(name):
        return [run.search(_reverse(name), "PTR", "dig")]
    got = run.search(name, wanted or "A")
    if wanted or got.reply.rcode != "NOERROR":
        return [got]
    target = next((r.data for r in reversed(got.reply.answers) if r.type == "CNAME"), got.reply.name)
    return [got, *(run.put(target, qtype) for qtype in more)]


def _worded(record: Record, tool: str, bare: bool = False) -> str:
    """A record in a tool's words; *bare*: names in the data without their final dot, as BusyBox prints them."""
    words = [w.rstrip(".") for w in record.data.split(" ")]
    data = " ".join(words) if bare else record.data
    return str(TEXTS[tool][record.type]).format(*words, name=record.name.rstrip("."), data=data)


def _has_busybox(run: Run) -> bool:
    pod = run.asker.pod
    image = next((str(c.get("image")) for c in containers_of(pod.spec)), "") if pod else ""
    return "busybox" in image or (resolver.libc(run.moment.snapshot, pod) == "musl" and "netshoot" not in image)


def _busybox_nslookup(run: Run, name: str, wanted: str, aimed: bool) -> Result:
    """BusyBox sends all questions at once: a name without dots below each search domain, any other as it stands."""
    if wanted and wanted not in TYPES:
        return run.end(1, f'nslookup: invalid query type "{wanted.lower()}"\n')
    asked, types = [name], [wanted] if wanted else ["A", "AAAA"]
    if is_ip(name):
        asked, types = [_reverse(name).rstrip(".")], ["PTR"]
    elif "." not in name and not aimed and run.conf.search:
        asked = [f"{name}.{domain}" for domain in run.conf.search]
    replies: list[tuple[str, Answer]] = []
    for ip, label in run.servers:
        replies = [(n, run.asker.ask(absolute(n), t, ip, "UDP")) for t in types for n in asked]
        if any(r.rcode not in FAILURES for _, r in replies):
            run.out += [f"Server:\t\t{label}", f"Address:\t{ip}:53", ""]
            break
        run.seconds += 5 * any(r.rcode == "TIMEOUT" for _, r in replies)
    else:
        refused = f"nslookup: write to '{ip}': Connection refused\n" if replies[-1][1].rcode == "CONNREFUSED" else ""
        run.out += [";; connection timed out; no servers could be reached", ""]
        return run.end(1, refused)
    for n, reply in replies:
        if reply.rcode != "NOERROR":
            run.out.append(f"** server can't find {n}: {reply.rcode}")
        elif not reply.aa:
            run.out.append("Non-authoritative answer:")
        run.out += [*(_worded(r, "nslookup", bare=True) for r in lookup.cut(reply, lookup.PLAIN).answers), ""]
    return run.end(int(any(r.rcode != "NOERROR" for _, r in replies)))


# getent


def getent(moment: Moment, client: Client, arguments: list[str]) -> Result:
    """``getent hosts NAME …``: what the C library's own look-up finds."""
    run, (database, *keys) = Run(moment, client, ["getent", *arguments]), arguments or [""]
    if database != "hosts":
        return run.end(1, "getent: only the database hosts is simulated\n")
    if not keys:
        run.out += [f"{x.ip:<15} {' '.join(x.names)}" for x in podfiles.hosts(run.asker.pod, moment.snapshot.settings)]
    found = [_getent(run, key) for key in keys]
    return run.end(0 if all(found) else 2)


def _getent(run: Run, key: str) -> bool:
    for qtype in ("PTR",) if is_ip(key) else ("AAAA", "A"):
        look = lookup.getaddrinfo(run.moment, run.client, _reverse(key), [qtype])
        run.seconds += look.seconds
        run.asker.hops += look.trace.hops if look.trace is not None else ()
        if look:
            break
    alias = f" {look.tried[-1].rstrip('.')}" if look.tried and look.tried[-1].rstrip(".") != look.canonical else ""
    for found in look.addresses:
        run.out.append(f"{key:<15} {found.rstrip('.')}" if is_ip(key) else f"{found:<15} {look.canonical}{alias}")
    return bool(look)


TOOLS = {"dig": dig, "nslookup": nslookup, "host": host, "getent": getent}
