"""What happened to a packet, as data: hops forward and return, each with the rule that decided, and an outcome.

A trace holds all that a view or a check needs; no view recomputes a decision. ``str(trace)`` is the complete account
in plain text: figures and widgets add nothing to it.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

from k8snet.dataplane.packet import Packet, changes
from k8snet.manifests.kinds import Ref

WIDTH = 96


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hop happens: ``kind`` is pod, node, fabric, edge or outside; ``device`` an interface, hook or process."""

    kind: str
    name: str
    device: str = ""
    node: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" [{self.device}]" if self.device else "")


@dataclass(frozen=True, slots=True, repr=False)
class Hop:
    """One decision about one packet.

    ``mechanism`` names the file of the data plane that decided (wiring, proxy, policy, conntrack, dns, http …),
    ``decision`` is one or two words (forward, DNAT, allow, drop …), ``why`` one plain sentence, ``rule`` the object and
    field that decided, ``detail`` further lines (chain and rule, route, rules tried). ``before`` and ``after`` are the
    packet's headers. ``inner`` is a trace inside the trace (a name look-up, a proxy's own connection to a backend).
    """

    place: Place
    mechanism: str
    decision: str
    why: str
    before: Packet | None = None
    after: Packet | None = None
    rule: Ref | None = None
    detail: tuple[str, ...] = ()
    returning: bool = False
    inner: Trace | None = None

    def __str__(self) -> str:
        rule = f" (rule: {self.rule})" if self.rule else ""
        return _filled(f"{self.place}, {self.mechanism}: {self.decision}. {self.why}{rule}", 4)

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """How it ended. ``seconds`` is simulated time until the client knew.

    ``kind`` tells apart what a person can: delivered (the connection is open and the server answered), refused (somebody
    answered no, at once), timed out (nobody answered), name not found (no packet was sent), no route, reset (the
    connection was cut), stopped (the account ends there, as asked), undefined (Kubernetes does not define it).
    ``server`` is who answered (``namespace/pod``, a node, an outside host), ``server_saw`` the source address that it
    saw, ``backend`` the ``ip:port`` that was reached. ``status`` is the HTTP status and ``said_by`` who said it.
    """

    kind: str
    message: str
    seconds: float = 0.0
    server: str = ""
    server_saw: str = ""
    backend: str = ""
    status: int = 0
    said_by: str = ""

    def __bool__(self) -> bool:
        return self.kind == "delivered"

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind

    __repr__ = __str__


@dataclass(frozen=True)
class Trace:
    """One request from the client's first packet to what the client learnt. Truthy if it was delivered."""

    request: str
    hops: tuple[Hop, ...]
    outcome: Outcome
    annotations: dict[str, Any] = field(default_factory=dict, compare=False)

    def __bool__(self) -> bool:
        return bool(self.outcome)

    @property
    def forward(self) -> tuple[Hop, ...]:
        """The hops from client to server."""
        return tuple(h for h in self.hops if not h.returning)

    @property
    def returning(self) -> tuple[Hop, ...]:
        """The hops of the reply."""
        return tuple(h for h in self.hops if h.returning)

    @property
    def deciding(self) -> Hop | None:
        """The hop that settled the outcome: the one whose decision is the outcome itself (an error's HTTP status, no
        route, undefined), else where the packet or its answer was lost or who said no, else the last rule that a
        delivered packet followed."""
        if not self.hops:
            return None
        word = str(self.outcome.status) if self.outcome.status >= 400 else self.outcome.kind
        there = self.forward[::-1]
        said = next((h for h in there if h.decision == word), None)
        if self.outcome:
            return said or next((h for h in there if h.rule is not None), self.hops[-1])
        lost = self.outcome.kind == "timed out" or not there
        return said or (self.hops[-1] if lost else there[0])

    def __str__(self) -> str:
        return render(self)

    def __repr__(self) -> str:
        return f"<Trace {self.request}: {self.outcome.kind}, {len(self.hops)} hops>"

    @property
    def brief(self) -> str:
        """The way in one line a hop, without reasons."""
        lines = [f"{n:>3} {_line(hop)}" for n, hop in enumerate(self.hops, 1)]
        return "\n".join([self.request, *lines, f"  = {self.outcome}"])

    def until(self, stop_at: int | str) -> Trace:
        """The account up to a hop: its number, or a mechanism or decision whose first hop is meant (``proxy``, ``DNAT``)."""
        met = (n for n, h in enumerate(self.hops, 1) if stop_at in (n, h.mechanism, h.decision))
        last = next(met, len(self.hops))
        ended = Outcome("stopped", f"the account stops after hop {last}, as asked")
        return replace(self, hops=self.hops[:last], outcome=ended) if last < len(self.hops) else self

    def to_dict(self) -> dict[str, Any]:
        """The whole trace as plain data, as JSON takes it."""
        return {k: v for k, v in asdict(self).items() if k != "annotations"}


def _line(hop: Hop) -> str:
    """Which way, where, and what was decided."""
    what = hop.decision if hop.mechanism == "wiring" else f"{hop.mechanism}: {hop.decision}"
    return f"{'←' if hop.returning else '→'} {hop.place!s:<44} {what}"


def render(trace: Trace, indent: str = "", inside: bool = False) -> str:
    """The complete text of a trace, at most some 100 columns wide: for each hop a numbered line, why, what changed in
    the headers (all of them where the packet is first seen) and which rule decided. A trace inside it (a name look-up,
    a proxy's own connection) follows its hop; the ways of a look-up's questions only where one failed (``hop.inner``)."""
    out = [trace.request]
    last: Packet | None = None
    for number, hop in enumerate(trace.hops, 1):
        out.append(f"{number:>3} {_line(hop)}")
        out += textwrap.wrap(hop.why, WIDTH - 8, initial_indent=" " * 8, subsequent_indent=" " * 8)
        notes = [f"packet: {hop.before}"] if hop.before and hop.before != last else []
        notes += changes(hop.before, hop.after) if hop.before and hop.after else []
        notes += [f"rule: {hop.rule}"] if hop.rule else []
        out += [f"        | {note}" for note in (*notes, *hop.detail)]
        last = hop.after or last
        if hop.inner is not None and not (inside and hop.inner.outcome):
            out.append(render(hop.inner, " " * 10, inside=True))
    out.append(f"  = {trace.outcome}")
    return "\n".join(indent + line for line in "\n".join(out).split("\n"))


def _filled(text: str, indent: int) -> str:
    """A line as lines that are not too wide."""
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two traces differ. Truthy if they do. ``lines`` are (sign, text): ``=`` in both, ``-`` only before, ``+`` only
    after, the latter two with their reasons."""

    lines: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return any(sign != "=" for sign, _ in self.lines)

    def __str__(self) -> str:
        lines = [_filled(f"{sign} {text}", 6) for sign, text in self.lines]
        return "\n".join([*([] if self else ["no difference"]), *lines])

    __repr__ = __str__


def diff(before: Trace, after: Trace) -> Difference:
    """What changed from one trace to another: hops held against each other by place, decision, rule and rewriting.

    The client's own port is left out, which is another each time.
    """
    lines: list[tuple[str, str]] = []
    matcher = SequenceMatcher(None, [*map(_key, before.hops)], [*map(_key, after.hops)], autojunk=False)
    for tag, i, i2, j, j2 in matcher.get_opcodes():
        if tag == "equal":
            lines += [("=", _line(hop)) for hop in before.hops[i:i2]]
        else:
            changed = [("-", h) for h in before.hops[i:i2]] + [("+", h) for h in after.hops[j:j2]]
            lines += [(sign, f"{_line(hop)}: {hop.why}") for sign, hop in changed]
    old, new = f"outcome {before.outcome}", f"outcome {after.outcome}"
    return Difference((*lines, *([("=", old)] if old == new else [("-", old), ("+", new)])))


def _key(hop: Hop) -> tuple[Any, ...]:
    to = hop.before and hop.after and hop.before.dst != hop.after.dst and (hop.after.dst, hop.after.dport)
    return (hop.place, hop.mechanism, hop.decision, hop.rule, hop.returning, None if hop.returning else to)
