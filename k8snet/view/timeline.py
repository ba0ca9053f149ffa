"""A roll-out as a picture: for each Pod, when it existed, when it was an endpoint, when it was ending."""

from __future__ import annotations

from typing import Any

from k8snet.view import style
from k8snet.view.drawing import Drawing

# State of a Pod: (fill, hatch, words). The hatch tells them apart without colour.
STATES = {
    "starting": ("#ffffff", "..", "starting, not Ready"),
    "ready": (style.SKY, "", "Ready: gets traffic"),
    "draining": ("#f0a35e", "//", "ending, still an endpoint of last resort"),
    "ending": ("#d9d9d9", "xx", "ending, no longer in the list"),
}


def watch(cluster: Any, service: str, seconds: int, step: float = 1.0) -> Drawing:
    """Let *seconds* of simulated time pass and draw what became of the Pods behind a Service (``namespace/name``).

    Every *step* seconds each Pod that the Service's selector matches is put into one of `STATES`.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    bars: dict[str, list[tuple[float, str]]] = {}
    for tick in range(round(seconds / step) + 1):
        for pod, state in _states(cluster.snapshot, service):
            bars.setdefault(pod, []).append((tick * step, state))
        if tick < round(seconds / step):
            cluster.advance(step)
    figure = Figure(figsize=(9, 1.4 + 0.38 * len(bars)))
    axes = figure.add_subplot()
    for row, seen in enumerate(bars.values()):
        for start, state in seen:
            fill, hatch, _ = STATES[state]
            axes.broken_barh(
                [(start, step)], (row - 0.35, 0.7), facecolor=fill, hatch=hatch, edgecolor=style.FAINT, linewidth=0
            )
    axes.set_yticks(range(len(bars)), list(bars), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    handles = [Patch(facecolor=f, hatch=h, edgecolor=style.FAINT, label=w) for f, h, w in STATES.values()]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2, frameon=False, fontsize=8)
    return Drawing(figure, _text(bars, service))


def _states(snapshot: Any, service: str) -> list[tuple[str, str]]:
    wanted = snapshot.services[service]
    used = {e.target.name: e for s in snapshot.slices_of.get(service, ()) for e in s.endpoints if e.target}
    states = []
    for pod in snapshot.pods.values():
        chosen = wanted.selector is not None and wanted.selector.matches(pod.labels)
        if pod.namespace != wanted.namespace or pod.finished or not chosen:
            continue
        endpoint = used.get(pod.name)
        if pod.terminating:
            states.append((pod.name, "draining" if endpoint is not None and endpoint.serving else "ending"))
        else:
            states.append((pod.name, "ready" if endpoint is not None and endpoint.ready else "starting"))
    return states


def _text(bars: dict[str, list[tuple[float, str]]], service: str) -> str:
    lines = [f"What became of the Pods behind {service}:"]
    for pod, seen in bars.items():
        turns = [(t, s) for i, (t, s) in enumerate(seen) if i == 0 or seen[i - 1][1] != s]
        lines.append(
            f"{pod}: " + ", ".join(f"{s} from {t:g} s" for t, s in turns) + f"; last seen at {seen[-1][0]:g} s"
        )
    return "\n".join(lines)
