"""What happened to a packet, as data: hops forward and return, each with the rule that decided, and an outcome.

A trace holds all that a view or a check needs; no view recomputes a decision. ``str(trace)`` is the complete account
in plain text: figures and widgets add nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from k8snet.dataplane.packet import Packet
from k8snet.manifests.kinds import Ref

# Outcomes that a person can tell apart. The value of each is the sentence shown when nothing more is known.
OUTCOMES = {
    "delivered": "the connection is open and the server answered",
    "refused": "somebody answered no, at once",
    "timed out": "nobody answered",
    "name not found": "the name was not resolved, so no packet was sent",
    "no route": "no route to the destination",
    "reset": "the connection was cut",
    "stopped": "the account ends here, as asked",
    "undefined": "Kubernetes does not define what happens here",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hop happens: ``kind`` is pod, node, fabric, edge or outside; ``device`` an interface, hook or process."""

    kind: str
    name: str
    device: str = ""
    node: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" [{self.device}]" if self.device else "")


@dataclass(frozen=True, slots=True)
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

    @property
    def changed(self) -> bool:
        """Whether the packet's headers left this hop other than they came."""
        return self.before is not None and self.after is not None and self.before != self.after


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. ``kind`` is a key of `OUTCOMES`; ``seconds`` is simulated time until the client knew.

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
        """The hop that settled the outcome: where the packet or its answer was lost, who said no, else the last rule
        that a delivered packet followed."""
        if not self.hops:
            return None
        if not self.outcome:
            lost = self.outcome.kind == "timed out" or not self.forward
            return self.hops[-1] if lost else self.forward[-1]
        return next((h for h in reversed(self.forward) if h.rule is not None), self.hops[-1])

    def __str__(self) -> str:
        return render(self)

    def __repr__(self) -> str:
        return f"<Trace {self.request}: {self.outcome.kind}, {len(self.hops)} hops>"


def render(trace: Trace, indent: str = "") -> str:
    """The complete text of a trace: a numbered line for each hop, then why, what changed and which rule."""
    lines = [f"{indent}{trace.request}"]
    for number, hop in enumerate(trace.hops, 1):
        arrow = "←" if hop.returning else "→"
        lines.append(f"{indent}{number:>3} {arrow} {hop.place}: {hop.mechanism}: {hop.decision}")
        lines.append(f"{indent}      {hop.why}")
        if hop.changed:
            lines.append(f"{indent}      was {hop.before}")
            lines.append(f"{indent}      now {hop.after}")
        elif hop.after or hop.before:
            lines.append(f"{indent}      packet {hop.after or hop.before}")
        if hop.rule:
            lines.append(f"{indent}      rule {hop.rule}")
        lines += [f"{indent}      · {line}" for line in hop.detail]
        if hop.inner is not None:
            lines.append(render(hop.inner, indent + "      | "))
    lines.append(f"{indent}  = {trace.outcome}")
    return "\n".join(lines)
