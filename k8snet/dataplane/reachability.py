"""All pairs: who reaches whom on one port and protocol, as policy decides (listening or not).

The same question as `policy.verdict`, answered for everybody at once and by other means (`allpairs`): ends that no rule
can tell apart are one group. Two things stand beside the groups: a Pod reaches itself, a node the Pods that it runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.policies import INGRESS, compiled
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import allpairs, policy
from k8snet.dataplane.allpairs import End, PortClass, Solution, port_classes
from k8snet.dataplane.policy import DEFINED, Peer, Verdict
from k8snet.manifests.addresses import parse_cidr

__all__ = ["Difference", "Group", "PortClass", "Reachability", "port_classes", "reachability"]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Ends that reach and are reached alike."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Reachability:
    """Who reaches whom. ``clients`` and ``servers`` name the rows and columns, `rows` and `matrix` give the cells.

    ``ends`` has each of them by name; ``solution`` the same answer for groups of ends that no rule tells apart.
    """

    port: int
    protocol: str
    clients: tuple[str, ...]
    servers: tuple[str, ...]
    snapshot: Snapshot = field(compare=False)
    ends: Mapping[str, End]
    solution: Solution

    # cells

    @cached_property
    def _column(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.servers)}

    @cached_property
    def _on_node(self) -> dict[str, list[int]]:
        index: dict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(self.servers):
            if pod := self.ends[name].peer.workload:
                index[pod.node].append(i)
        return index

    def _always(self, client: str) -> list[int]:
        """The columns that are open whatever the policies say: the Pod itself, and for a node the Pods that it runs."""
        host = self.ends[client].peer.host
        own = [self._column[client]] if client in self._column and self.ends[client].peer.who else []
        return own + (self._on_node.get(host, []) if host else [])

    @cached_property
    def _group_rows(self) -> dict[int, str]:
        """What the members of each group reach, server by server, apart from what is always open."""
        columns = [self.solution.group_of[name] for name in self.servers]
        pick = itemgetter(*columns) if len(columns) > 1 else lambda row: [row[c] for c in columns]
        groups = {self.solution.group_of[name] for name in self.clients}
        return {g: "".join(pick(self.solution.rows[g])) for g in groups}

    def row(self, client: str) -> str:
        """One row as text: ``.`` allowed, ``X`` blocked, ``~`` undefined."""
        cells = bytearray(self._group_rows[self.solution.group_of[client]], "ascii")
        for i in self._always(client):
            cells[i] = ord(".")
        return cells.decode()

    def rows(self) -> tuple[str, ...]:
        """All rows as text, in the order of ``clients``."""
        return tuple(self.row(client) for client in self.clients)

    @property
    def matrix(self) -> NDArray[np.bool_]:
        """The cells as a numpy array of booleans: row i, column j says whether client i may connect to server j."""
        import numpy as np

        text = "".join(self.solution.rows).encode()
        groups = np.frombuffer(text, np.uint8).reshape(len(self.solution.rows), -1) == ord(".")
        lines, columns = ([self.solution.group_of[n] for n in names] for names in (self.clients, self.servers))
        result: NDArray[np.bool_] = groups[:, columns][lines]
        for i, client in enumerate(self.clients):
            result[i, self._always(client)] = True
        return result

    def allowed(self, client: str, server: str) -> bool:
        """One cell."""
        return self.row(client)[self._column[server]] == "."

    def why(self, client: str, server: str) -> Verdict:
        """The verdict behind one cell, with every rule tried."""
        ends = self.ends[client].peer, self.ends[server].peer
        return policy.verdict(self.snapshot, *ends, self.port, self.protocol)

    # questions

    def who_can_reach(self, server: str) -> tuple[str, ...]:
        """The clients that may connect to a server, itself apart. A name without namespace means default."""
        server = server if server in self._column else f"default/{server}"
        return tuple(c for c in self.clients if c != server and self.allowed(c, server))

    def unprotected(self, direction: str = INGRESS) -> tuple[str, ...]:
        """The Pods that no policy isolates in a direction (Ingress or Egress)."""
        names = self.servers if direction == INGRESS else self.clients
        mask, group_of = self.solution.isolated[direction], self.solution.group_of
        return tuple(n for n in names if isinstance(self.ends[n].peer.who, Pod) and not mask >> group_of[n] & 1)

    def find(
        self, expected: Mapping[Pair, bool] | Callable[[str, str], bool | None]
    ) -> tuple[str, str, Verdict] | None:
        """The first client and server that are not as expected, with the verdict that says why; None if all are.

        *expected* maps (client, server) to True or False, or is a function of both that answers None for "no matter".
        """
        for client in self.clients:
            for server, cell in zip(self.servers, self.row(client), strict=True):
                wanted = expected(client, server) if callable(expected) else expected.get((client, server))
                if wanted is not None and wanted != (cell == "."):
                    return client, server, self.why(client, server)
        return None

    def diff(self, after: Reachability) -> Difference:
        """What changes between this and a later state, for the ends that both have."""
        known = frozenset(after.clients)
        clients = tuple(c for c in self.clients if c in known)
        servers = tuple(s for s in self.servers if s in after._column)
        columns = [(self._column[s], after._column[s]) for s in servers]
        pairs = ((self.row(c), after.row(c)) for c in clients)
        return Difference(clients, servers, tuple("".join(_sign(b[i], a[j]) for i, j in columns) for b, a in pairs))

    # for people

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The ends by behaviour: one group for all that reach the same and are reached by the same."""
        rows = self.solution.rows
        columns = ["".join(column) for column in zip(*rows, strict=True)]
        found: dict[Any, list[str]] = defaultdict(list)
        for name, g in self.solution.group_of.items():
            place = self.ends[name].place
            found[place if place in ("node", "outside") else "", rows[g], columns[g]].append(name)
        return tuple(Group(self._describe(members), tuple(members)) for members in found.values())

    def _describe(self, members: Sequence[str]) -> str:
        keys = allpairs.label_keys(compiled(self.snapshot).all)
        kinds = list(dict.fromkeys(_kind(self.ends[m], keys) for m in members)) if len(members) > 1 else members
        return "; ".join(kinds[:3]) + (f"; {len(kinds) - 3} more kinds" if len(kinds) > 3 else "")

    @property
    def group_rows(self) -> tuple[str, ...]:
        """The matrix of `groups`; on the diagonal, whether different members reach each other."""
        picks = [self.solution.group_of[group.members[0]] for group in self.groups]
        rows = ["".join(self.solution.rows[g][h] for h in picks) for g in picks]
        alone = [len(group.members) == 1 for group in self.groups]
        return tuple(f"{row[:i]}.{row[i + 1 :]}" if alone[i] else row for i, row in enumerate(rows))

    def __str__(self) -> str:
        title = f"port {self.port}/{self.protocol}" if self.protocol in DEFINED else self.protocol
        opened, total = sum(row.count(".") for row in self.rows()), len(self.clients) * len(self.servers)
        head = f"Who may connect to whom, {title}: {opened} of {total} pairs (rows call, columns answer)"
        if max(len(self.clients), len(self.servers)) <= 24:
            return "\n".join([head, *_grid(self.clients, self.servers, self.rows())])
        names = [f"{g.name} ({len(g.members)})" for g in self.groups]
        head += f"\n{len(self.ends)} ends in {len(names)} groups that behave alike (how many ends in brackets)"
        if len(names) <= 40:
            return "\n".join([head, *_grid(names, names, self.group_rows)])
        reached = zip(names[:40], self.group_rows, strict=False)
        lines = [f"  {name}: reaches {row.count('.')} groups" for name, row in reached]
        return "\n".join([head, *lines, f"  … and {len(names) - 40} more"])

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Rows and names as plain data (JSON)."""
        names = {"clients": list(self.clients), "servers": list(self.servers)}
        return {"port": self.port, "protocol": self.protocol, **names, "rows": list(self.rows())}


def _kind(end: End, keys: Iterable[str]) -> str:
    """What a group's name says of an end: its namespace and those of its labels that policies mention."""
    pod = end.peer.workload
    if pod is None:
        return f"node {end.peer.host}" if end.peer.host else end.name
    return " ".join([pod.namespace, *(f"{k}={pod.labels[k]}" for k in keys if k in pod.labels)])


def _grid(clients: Sequence[str], servers: Sequence[str], rows: Sequence[str]) -> Iterator[str]:
    """A matrix as lines of text; columns are numbered as the rows, or, where they differ, listed below."""
    wide, digits = max(map(len, clients)), len(str(len(servers)))
    yield " " * (wide + 6) + " ".join(f"{i:>{digits}}" for i in range(1, len(servers) + 1))
    for i, (client, row) in enumerate(zip(clients, rows, strict=True), 1):
        yield f"{i:>4} {client:<{wide}} " + " ".join(f"{sign:>{digits}}" for sign in row)
    if tuple(clients) != tuple(servers):
        yield from (f"column {i} {server}" for i, server in enumerate(servers, 1))


@dataclass(frozen=True)
class Difference:
    """Two states of the same pairs, as rows of signs: ``.`` and ``X`` unchanged, ``+`` newly allowed, ``-`` newly
    blocked. Falsy if nothing changed."""

    clients: tuple[str, ...]
    servers: tuple[str, ...]
    signs: tuple[str, ...] = field(repr=False)

    def rows(self) -> tuple[str, ...]:
        """The rows, in the order of ``clients``."""
        return self.signs

    def _pairs(self, sign: str) -> tuple[Pair, ...]:
        rows = ((c, row) for c, row in zip(self.clients, self.signs, strict=True) if sign in row)
        return tuple((c, s) for c, row in rows for s, cell in zip(self.servers, row, strict=True) if cell == sign)

    @cached_property
    def leaks(self) -> tuple[Pair, ...]:
        """Pairs that are open now and were not."""
        return self._pairs("+")

    @cached_property
    def blocks(self) -> tuple[Pair, ...]:
        """Pairs that were open and are not now."""
        return self._pairs("-")

    def __bool__(self) -> bool:
        return bool(self.leaks or self.blocks)

    def __str__(self) -> str:
        lines = [f"{len(self.leaks)} pairs newly allowed, {len(self.blocks)} newly blocked"]
        for sign, pairs in (("+", self.leaks), ("-", self.blocks)):
            lines += [f"  {sign} {client} to {server}" for client, server in pairs[:20]]
            lines += [f"  {sign} … and {len(pairs) - 20} more"] if len(pairs) > 20 else []
        return "\n".join(lines)

    __repr__ = __str__


def _sign(before: str, after: str) -> str:
    if (before == ".") == (after == "."):
        return after
    return "+" if after == "." else "-"


# the computation


def reachability(
    snapshot: Snapshot,
    port: int,
    protocol: str = "TCP",
    clients: Iterable[str] | None = None,
    servers: Iterable[str] | None = None,
    outside: Iterable[str] = (),
) -> Reachability:
    """Who reaches whom on one port (the servers' own) and protocol.

    *clients* and *servers* name Pods (as for `policy.peer`), addresses or CIDR blocks outside; None means every Pod that
    has not finished. *outside* adds blocks to both. A block is cut into pieces that no rule tells apart.
    Raises ApiError NotFound for a Pod that is not there.
    """
    protocol, slots = protocol.upper(), allpairs.Slots(compiled(snapshot).all)
    pods = [End(p.key, Peer.of(p)) for p in snapshot.pods.values() if not p.finished]

    def ends(names: Iterable[str]) -> list[End]:
        return [end for name in names for end in _ends_of(snapshot, slots, name)]

    rows, columns = (pods if names is None else ends(names) for names in (clients, servers))
    around = ends(outside)
    everyone = {end.name: end for end in (*rows, *columns, *around)}
    solution = allpairs.solve(snapshot, everyone.values(), slots, port, protocol)
    row_names, column_names = (tuple(dict.fromkeys(end.name for end in (*e, *around))) for e in (rows, columns))
    return Reachability(port, protocol, row_names, column_names, snapshot, everyone, solution)


def _ends_of(snapshot: Snapshot, slots: allpairs.Slots, name: str) -> list[End]:
    if network := parse_cidr(name):
        return slots.pieces(network)
    peer = policy.peer(snapshot, name)
    return [End(peer.who.key if isinstance(peer.who, Pod) else name, peer)]
