"""The cluster as a picture: nodes with their Pods, Services above them, the fabric between; a trace drawn over it.

The graph is a networkx graph (Pods, nodes, Services, fabric, outside; edges are wires and "endpoint of"), drawn with a
layout of our own: Services on top, nodes in columns with their Pods left and right of the wire, the fabric below, the
outside at the bottom. Services are dashed: they are rules on nodes, not machines.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane.trace import Hop, Trace
from k8snet.view import style
from k8snet.view.drawing import Drawing

# Width of a node, height of a row of Pods, how far a Pod stands from the wire in the middle of its node.
COLUMN, ROW, ASIDE, MOST_PODS, MOST_SERVICES = 3.5, 0.62, 0.84, 10, 6
FABRIC, OUTSIDE = ("fabric", "fabric"), ("outside", "")
Spot = tuple[float, float]


def graph(snapshot: Snapshot, system: bool = False) -> Any:
    """The networkx graph of a cluster. Node keys are ``(kind, name)``; *system* includes kube-system."""
    import networkx as nx

    g = nx.Graph()
    g.add_node(FABRIC)
    for node in snapshot.nodes.values():
        g.add_edge(FABRIC, ("node", node.name), what="wire")
    for pod in _pods(snapshot, system):
        g.add_node(("pod", pod.key), ip=pod.ip, ready=pod.ready)
        if pod.node:
            g.add_edge(("node", pod.node), ("pod", pod.key), what="wire")
    shown = {p.key for p in _pods(snapshot, system)}
    for service in snapshot.services.values():
        if (service.namespace == "kube-system" and not system) or service.key == "default/kubernetes":
            continue
        g.add_node(("service", service.key))
        for s in snapshot.slices_of.get(service.key, ()):
            for e in s.endpoints:
                if e.target is not None and e.target.key in shown and e.ready is not False:
                    g.add_edge(("service", service.key), ("pod", e.target.key), what="endpoint")
    return g


def _pods(snapshot: Snapshot, system: bool) -> list[Pod]:
    return [p for p in snapshot.pods.values() if not p.finished and (system or p.namespace != "kube-system")]


def layout(g: Any) -> dict[tuple[str, str], Spot]:
    """Where everything stands, as key → (x, y)."""
    nodes = sorted(n for n in g if n[0] == "node")
    where: dict[tuple[str, str], Spot] = {}
    rows = max([1, *((min(sum(p[0] == "pod" for p in g[n]), MOST_PODS) + 1) // 2 for n in nodes)])
    for column, node in enumerate(nodes):
        for i, pod in enumerate(sorted(p for p in g[node] if p[0] == "pod")[:MOST_PODS]):
            where[pod] = (column * COLUMN + (ASIDE if i % 2 else -ASIDE), -(i // 2) * ROW)
        where[node] = (column * COLUMN, -rows * ROW)
    middle = (len(nodes) - 1) * COLUMN / 2
    where[FABRIC] = (middle, -(rows + 1.15) * ROW)
    where[OUTSIDE] = (middle, -(rows + 2.3) * ROW)
    services = sorted(n for n in g if n[0] == "service")[:MOST_SERVICES]
    for i, service in enumerate(services):
        where[service] = (middle + (i - (len(services) - 1) / 2) * COLUMN * 0.8, 1.45 * ROW)
    return where


def draw(snapshot: Snapshot, trace: Trace | None = None) -> Drawing:
    """A drawing of the cluster; with *trace*, its path over it: forward solid, return dashed, hops numbered."""
    from matplotlib.figure import Figure

    places = {(h.place.kind, h.place.name) for h in trace.hops} if trace is not None else set()
    g = graph(snapshot, any(kind == "pod" and name.startswith("kube-system/") for kind, name in places))
    where = layout(g)
    outside = any(kind in ("outside", "edge") for kind, _ in places)
    xs = [x for x, _ in where.values()]
    low = where[OUTSIDE if outside else FABRIC][1] - 0.4
    high = max(y for _, y in where.values()) + 0.4
    width = max(xs) - min(xs) + COLUMN
    scale = min(1.0, 12.5 / width)
    figure = Figure(figsize=(width * scale, (high - low) * scale))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(min(xs) - COLUMN / 2, max(xs) + COLUMN / 2)
    axes.set_ylim(low, high)
    _panels(axes, g, where)
    for a, b, data in g.edges(data=True):
        if data["what"] == "endpoint" and a in where and b in where:
            (x1, y1), (x2, y2) = sorted((where[a], where[b]), key=lambda spot: -spot[1])
            axes.plot([x1, x2], [y1 - 0.2, y2 + 0.2], ls=":", lw=1.2, color=style.PURPLE, zorder=1)
    for key, (x, y) in where.items():
        if key != OUTSIDE or outside:
            _thing(axes, key, x, y, snapshot)
    if trace is not None and trace.hops:
        _path(axes, where, trace)
    return Drawing(figure, describe(snapshot, trace))


def _panels(axes: Any, g: Any, where: dict[tuple[str, str], Spot]) -> None:
    from matplotlib.patches import FancyBboxPatch

    nodes = {key: spot for key, spot in where.items() if key[0] == "node"}
    fabric = where[FABRIC][1]
    for key, (x, y) in nodes.items():
        fill, edge = style.PLACES["node"]
        corner = (x - COLUMN / 2 + 0.16, y - 0.2)
        looks: dict[str, Any] = {"boxstyle": "round,pad=0.06", "fc": fill, "ec": edge, "lw": 1, "zorder": 0}
        axes.add_patch(FancyBboxPatch(corner, COLUMN - 0.32, 0.5 - y, **looks))
        axes.plot([x, x], [fabric, 0], color=style.LINE, lw=1.5, zorder=0.5)
        pods = [p for p in g[key] if p[0] == "pod"]
        for aside, height in (where[pod] for pod in pods if pod in where):
            axes.plot([x, aside], [height] * 2, color=style.LINE, lw=1.5, zorder=0.5)
        if len(pods) > MOST_PODS:
            more = f"… and {len(pods) - MOST_PODS} more Pods"
            axes.text(x, y + 0.26, more, ha="center", fontsize=7, color=style.FAINT)
    if nodes:
        left, right = min(x for x, _ in nodes.values()), max(x for x, _ in nodes.values())
        axes.plot([left, right], [fabric, fabric], color=style.LINE, lw=5, solid_capstyle="round", zorder=0.5)


def _thing(axes: Any, key: tuple[str, str], x: float, y: float, snapshot: Snapshot) -> None:
    kind, name = key
    label = style.short(name.removeprefix("default/"), 22)
    if kind == "node":
        _box(axes, x, y, f"{name}  {snapshot.nodes[name].ip}", "node", "-", bold=True)
    elif kind == "pod":
        pod = snapshot.pods[name]
        note = "" if pod.ready else " (not ready)"
        _box(axes, x, y, f"{label}{note}\n{pod.ip or 'no address'}", "pod", "-" if pod.ready else "--")
    elif kind == "service":
        service = snapshot.services[name]
        address = ", ".join(service.cluster_ips) or ("headless" if service.headless else service.type)
        _box(axes, x, y, f"Service {label}\n{address}", "outside", "--")
    elif key == FABRIC:
        _box(axes, x, y, "network between the nodes", "fabric", "-")
    else:
        _box(axes, x, y, "outside the cluster", "edge", "-")


def _box(axes: Any, x: float, y: float, text: str, kind: str, line: str, bold: bool = False) -> None:
    fill, edge = style.PLACES[kind]
    box = {"boxstyle": "round,pad=0.28", "fc": fill, "ec": edge, "ls": line, "lw": 1.1}
    looks = {"fontsize": 8, "fontweight": "bold" if bold else "normal", "color": style.INK, "linespacing": 1.2}
    axes.text(x, y, text, ha="center", va="center", zorder=3, bbox=box, **looks)


def _path(axes: Any, where: dict[tuple[str, str], Spot], trace: Trace) -> None:
    """The way of the packet along the wires, one line for each direction, a label where it stops."""
    stops = [(number, hop, _spot(hop, where)) for number, hop in enumerate(trace.hops, 1)]
    for back in (False, True):
        line = [spot for _, hop, spot in stops if hop.returning is back and spot is not None]
        if back and line:
            before = [spot for _, hop, spot in stops if not hop.returning and spot is not None]
            line = before[-1:] + line
        colour, side = (style.RETURN, 0.07) if back else (style.FORWARD, -0.07)
        points: list[Spot] = []
        for start, end in pairwise(line):
            points += _wire(start, end, where[FABRIC][1])
        if points:
            xs, ys = [x + side for x, _ in points], [y + side / 2 for _, y in points]
            axes.plot(xs, ys, color=colour, lw=2.2, ls=(0, (3, 1.5)) if back else "-", zorder=2)
    labels: dict[tuple[Spot, bool], list[int]] = {}
    for number, hop, spot in stops:
        if spot is not None:
            labels.setdefault((spot, hop.returning), []).append(number)
    for ((x, y), back), numbers in labels.items():
        text = ("← " if back else "→ ") + (str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}")
        colour = style.RETURN if back else style.FORWARD
        box = {"boxstyle": "round,pad=0.15", "fc": style.PAPER, "ec": colour}
        looks = {"fontsize": 7, "color": style.INK, "bbox": box}
        axes.text(x + (0.42 if back else -0.42), y + 0.27, text, ha="center", va="center", zorder=6, **looks)
    sign, colour = style.OUTCOME_SIGNS[trace.outcome.kind]
    last = next((spot for _, hop, spot in reversed(stops) if not hop.returning and spot is not None), None)
    if last is not None:
        x = last[0] + (-0.62 if last[0] < round(last[0] / COLUMN) * COLUMN else 0.62)
        axes.text(x, last[1], sign, fontsize=18, fontweight="bold", color=colour, ha="center", va="center", zorder=7)


def _wire(start: Spot, end: Spot, fabric: float) -> list[Spot]:
    """The way between two places along the drawn wires: sideways, along the trunk (by the fabric to another node)."""
    (x1, y1), (x2, y2) = start, end
    trunk1, trunk2 = (round(x / COLUMN) * COLUMN for x in (x1, x2))
    low = min(y1, y2) if trunk1 == trunk2 else min(y1, y2, fabric)
    return [(x1, y1), (trunk1, y1), (trunk1, low), (trunk2, low), (trunk2, y2), (x2, y2)]


def _spot(hop: Hop, where: dict[tuple[str, str], Spot]) -> Spot | None:
    kind = hop.place.kind
    if kind == "fabric":
        return where[FABRIC]
    if kind in ("outside", "edge"):
        return where[OUTSIDE]
    return where.get((kind, hop.place.name))


def describe(snapshot: Snapshot, trace: Trace | None = None) -> str:
    """The picture in words."""
    lines = [f"Cluster of {len(snapshot.nodes)} nodes, network {snapshot.settings.network}."]
    for node in sorted(snapshot.nodes):
        pods = [p for p in snapshot.pods_on.get(node, ()) if p.namespace != "kube-system"]
        listed = ", ".join(f"{p.key.removeprefix('default/')} {p.ip}" for p in pods[:MOST_PODS]) or "no Pods"
        lines.append(f"{node} ({snapshot.nodes[node].ip}): {listed}" + (" …" if len(pods) > MOST_PODS else ""))
    if trace is not None:
        lines.append(str(trace))
    return "\n".join(lines)
