"""Widgets (ipywidgets), each with a static form that says the same in plain text.

One HTML widget whose value is replaced, labelled buttons, drop-downs and text fields: they have accessible names and
need only a keyboard. What a saved notebook keeps, and what GitHub or a screen reader without widgets shows, is the
static text for the values that the widget starts with. *cluster* is a `k8snet.cluster.Cluster` throughout; a widget
works on a copy of it, as it was when the widget was made, so playing changes nothing in the cells below.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from textwrap import wrap
from typing import Any

from k8snet.dataplane import lint, lookup, resolver, sentences
from k8snet.dataplane.packet import changes
from k8snet.dataplane.trace import Trace, diff
from k8snet.manifests.errors import KubernetesError
from k8snet.view import boxes, ladder
from k8snet.view.display import image, pre

VIEW = "application/vnd.jupyter.widget-view+json"


class Card:
    """A widget together with the plain text that stands for it where widgets are not shown."""

    def __init__(self, text: str, build: Callable[[], Any]) -> None:
        self.text = text
        self._build = build

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        live = self._build()._repr_mimebundle_() or {}
        return {"text/plain": self.text, "text/html": pre(self.text), **({VIEW: live[VIEW]} if VIEW in live else {})}


def status(html: str) -> str:
    """HTML that a screen reader announces when it changes."""
    return f'<div role="status" aria-live="polite">{html}</div>'


@dataclass(frozen=True)
class Control:
    """One thing to set: ``kind`` is choice, text, number, step (a number with Back and Next), area or tick.

    *most* bounds a number; as a function it is asked again, with all values by name, whenever one changes.
    """

    kind: str
    value: Any
    options: Sequence[str] = ()
    most: int | Callable[..., int] = 65535

    def limit(self, values: dict[str, Any]) -> int:
        """The greatest value of a number while the controls have these *values*."""
        return self.most(**values) if callable(self.most) else self.most

    def __str__(self) -> str:
        return ("on" if self.value else "off") if self.kind == "tick" else str(self.value)

    def widget(self, label: str) -> Any:
        """The ipywidget; its description is what a screen reader says."""
        import ipywidgets as w

        wide = {"description_width": "initial"}
        if self.kind == "choice":
            return w.Dropdown(options=list(self.options), value=self.value, description=label, style=wide)
        if self.kind == "tick":
            return w.Checkbox(value=self.value, description=label, style=wide, layout={"width": "auto"}, indent=False)
        if self.kind == "area":
            return w.Textarea(
                value=self.value, description=label, layout={"width": "48em", "height": "20em"}, continuous_update=False
            )
        if self.kind == "text":
            return w.Text(value=self.value, description=label, style=wide, continuous_update=False)
        layout = {"width": "auto", "max_width": "12em"}
        return w.BoundedIntText(value=self.value, min=0, max=65535, description=label, style=wide, layout=layout)


def panel(title: str, controls: dict[str, Control], show: Callable[..., tuple[str, str]]) -> Card:
    """Controls over one output. *show* takes their values by name and gives (HTML, the same as plain text)."""

    def safely(**values: Any) -> tuple[str, str]:
        try:
            return show(**values)
        except KubernetesError as error:
            return pre(str(error)), str(error)

    start = {name: control.value for name, control in controls.items()}
    settings = ", ".join(f"{name}: {control}" for name, control in controls.items() if control.kind != "area")

    def build() -> Any:
        import ipywidgets as w

        parts = {name: control.widget(name) for name, control in controls.items()}
        numbers = [name for name, control in controls.items() if control.kind in ("number", "step")]
        output = w.HTML(status(safely(**start)[0]))

        def values() -> dict[str, Any]:
            return {name: part.value for name, part in parts.items()}

        def bound() -> None:
            for name in numbers:
                parts[name].max = controls[name].limit(values())

        def update(_: Any) -> None:
            bound()
            output.value = status(safely(**values())[0])

        bound()

        rows: list[Any] = []
        for name, part in parts.items():
            part.observe(update, names="value")
            rows.append(part)
            if controls[name].kind == "step":
                for label, way in (("Back", -1), ("Next", 1)):
                    button = w.Button(description=label, layout={"width": "auto"})
                    button.on_click(
                        lambda _, part=part, way=way: setattr(part, "value", sorted((0, part.value + way, part.max))[1])
                    )
                    rows.append(button)
        layout = {"display": "flex", "flex_flow": "row wrap", "align_items": "center", "grid_gap": "0 12px"}
        return w.VBox([w.HTML(f"<b>{escape(title)}</b>"), w.Box(rows, layout=layout), output])

    return Card("\n".join([*wrap(f"{title} ({settings})", 96), safely(**start)[1]]), build)


def prediction_card(
    question: str, text: str, options: Sequence[str], confidence: Sequence[str], answer: Callable[[str, str], str]
) -> Card:
    """A question with its options, the levels of confidence and a button; what is chosen goes to *answer*.

    *text* is the static form. What *answer* says is shown.
    """

    def build() -> Any:
        import ipywidgets as w

        choice = w.RadioButtons(options=list(options), value=None, layout={"width": "max-content"})
        sure = w.Dropdown(options=list(confidence), value=confidence[1], description="I am")
        note, button = w.HTML(status("")), w.Button(description="Store my prediction", layout={"width": "auto"})

        def store(_: Any) -> None:
            note.value = status(
                escape(answer(choice.value, sure.value) if choice.value else "Choose an outcome first.")
            )

        button.on_click(store)
        column = {"align_items": "flex-start"}
        return w.VBox([w.HTML(f"<b>{escape(question)}</b>"), choice, sure, button, note], layout=column)

    return Card(text, build)


def packet_tracer(cluster: Any, client: str = "frontend", target: str = "my-service", port: int = 80) -> Card:
    """Follow one connection hop by hop: the drawn path up to a hop, its header change, and why."""
    cluster = cluster.copy()
    kept: dict[tuple[str, str, int], Trace] = {}

    def call(client: str, target: str, port: int) -> Trace:
        key = (client, target, port)
        if key not in kept:
            kept[key] = cluster.pod(client).connect(target, port)
        return kept[key]

    def show(client: str, target: str, port: int, hop: int) -> tuple[str, str]:
        trace = call(client, target, port)
        if not hop:
            return image(ladder.svg(trace), ladder.alt(trace)) + pre(str(trace.outcome)), trace.brief
        hop = min(hop, len(trace.hops))
        now, last = trace.hops[hop - 1], hop == len(trace.hops)
        lines = [
            f"hop {hop} of {len(trace.hops)}: {now.place}, {now.mechanism}: {now.decision}",
            *wrap(now.why, 100),
            *([f"packet: {now.before}"] if now.before else ()),
            *(changes(now.before, now.after) if now.before and now.after else ()),
            *([f"rule: {now.rule}"] if now.rule else ()),
            *now.detail,
            *([f"= {trace.outcome}"] if last else ()),
        ]
        return image(ladder.svg(trace, hop), ladder.alt(trace)) + pre("\n".join(lines)), "\n".join(lines)

    controls = {
        "client": Control("choice", client, _pods(cluster)),
        "target": Control("text", target),
        "port": Control("number", port),
    }
    hops = Control("step", 0, most=lambda hop, **ends: len(call(**ends).hops))
    return panel("Packet tracer", {**controls, "hop": hops}, show)


def policy_playground(cluster: Any, manifest: str, port: int = 8080) -> Card:
    """Edit a policy: the matrix, its difference to before, each policy in plain words and what looks odd."""
    cluster = cluster.copy()
    before = cluster.reachability(port)

    def show(manifest: str, port: int) -> tuple[str, str]:
        twin = cluster.copy()
        said = twin.apply(manifest)
        from k8snet.controlplane.policies import compiled

        found, snapshot = twin.reachability(port), twin.snapshot
        plain = [f"{p.ref}: {sentences.sentence(p)}" for p in compiled(snapshot).all]
        odd = [str(finding) for finding in lint.lint(snapshot)]
        parts = [str(said), str(found), *([str(before.diff(found))] if port == before.port else []), *plain, *odd]
        return pre("\n\n".join(parts)), "\n\n".join(parts)

    return panel("Policy playground", {"port": Control("number", port), "manifest": Control("area", manifest)}, show)


def service_explorer(cluster: Any, service: str = "my-service", client: str = "frontend") -> Card:
    """Open many connections to a Service: who answers, under which policies and with which Pods ready."""
    cluster = cluster.copy()
    pods = {p.key: p for p in _behind(cluster, service)}
    start = cluster.snapshot.services[f"default/{service}"]
    stick, local = "sessionAffinity ClientIP", "internalTrafficPolicy Local"

    def show(client: str, connections: int, **ticked: bool) -> tuple[str, str]:
        twin = cluster.copy()
        spec = {
            "sessionAffinity": "ClientIP" if ticked[stick] else "None",
            "internalTrafficPolicy": "Local" if ticked[local] else "Cluster",
        }
        twin.kubectl(f"patch service {service} -p '{json.dumps({'spec': spec})}'")
        for pod in pods.values():
            if not ticked[f"{pod.name} ready"]:
                _fail_readiness(twin, pod)
        caller, port = twin.pod(client), start.ports[0].port
        address = next(iter(start.cluster_ips), service)  # the name is not asked anew for every connection
        outcomes = [caller.connect(address, port).outcome for _ in range(max(1, connections))]
        counts = Counter(o.server or str(o) for o in outcomes)
        named = {key: f"{pod.name} on {pod.node}" for key, pod in pods.items()}
        bars = [
            f"{named.get(who, who)}\n    {'#' * round(50 * n / len(outcomes))} {n}"
            for who, n in sorted(counts.items(), key=str)
        ]
        lines = [f"{client} on {twin.snapshot.pods[caller.client.name].node} calls {service}:{port}", *bars]
        return pre("\n".join(lines)), "\n".join(lines)

    controls = {"client": Control("choice", client, _pods(cluster)), "connections": Control("number", 100, most=500)}
    ticks = {
        stick: Control("tick", start.affinity_seconds > 0),
        local: Control("tick", start.internal_policy == "Local"),
        **{f"{p.name} ready": Control("tick", True) for p in pods.values()},
    }
    return panel(f"Service explorer: {service}", {**controls, **ticks}, show)


def resolver_ladder(cluster: Any, client: str = "frontend", name: str = "my-service", ndots: int = 5) -> Card:
    """The names that a Pod's resolver asks, one after the other, and what each is told."""
    cluster = cluster.copy()

    def show(client: str, name: str, ndots: int) -> tuple[str, str]:
        caller = cluster.pod(client)
        snapshot = cluster.snapshot
        pod = snapshot.pods[caller.client.name]
        conf = resolver.resolv_conf(snapshot, pod)
        conf = replace(conf, options=(*(o for o in conf.options if not o.startswith("ndots")), f"ndots:{ndots}"))
        found = resolver.walk(
            conf, name, ("A", "AAAA"), lookup.Asker(cluster.moment, caller.client), resolver.libc(snapshot, pod)
        )
        drawn = boxes.candidates(found)
        return image(drawn.svg, f"the candidates of {name}, in words below") + pre(drawn.text), drawn.text

    controls = {
        "client": Control("choice", client, _pods(cluster)),
        "name": Control("text", name),
        "ndots": Control("number", ndots, most=15),
    }
    return panel("Resolver ladder", controls, show)


def model_switch(
    build: Callable[[str], Any], client: str = "frontend", target: str = "my-service", port: int = 80
) -> Card:
    """The same connection under two networking models side by side; *build* makes the cluster for a model's name."""
    kept: dict[str, Any] = {}
    models = ("bridge", "overlay", "routed", "cloud", "ebpf", "docker")

    def trace(model: str, target: str, port: int) -> Trace:
        cluster = kept.get(model) or kept.setdefault(model, build(model))
        result: Trace = cluster.copy().pod(client).connect(target, port)
        return result

    def show(left: str, right: str, target: str, port: int) -> tuple[str, str]:
        one, other = trace(left, target, port), trace(right, target, port)
        text = f"{left}: {one.brief}\n\n{right}: {other.brief}\n\n{diff(one, other)}"
        return (
            f"{image(ladder.svg(one), ladder.alt(one))}{image(ladder.svg(other), ladder.alt(other))}{pre(text)}",
            text,
        )

    controls = {"left": Control("choice", "bridge", models), "right": Control("choice", "overlay", models)}
    return panel("Model switch", {**controls, "target": Control("text", target), "port": Control("number", port)}, show)


def _pods(cluster: Any) -> list[str]:
    return [
        p.key.removeprefix("default/")
        for p in cluster.snapshot.pods.values()
        if p.namespace != "kube-system" and not p.finished
    ]


def _behind(cluster: Any, service: str) -> list[Any]:
    wanted = cluster.snapshot.services[f"default/{service}"]
    return [
        p
        for p in cluster.snapshot.pods.values()
        if p.namespace == "default" and wanted.selector and wanted.selector.matches(p.labels)
    ]


def _fail_readiness(cluster: Any, pod: Any) -> None:
    """Put in a Pod's place the same one with a readiness probe that its application fails."""
    first, *others = pod.spec["containers"]
    annotations = {"k8snet.io/failing-probes": "readiness"}
    meta = {"name": pod.name, "namespace": pod.namespace, "labels": dict(pod.labels), "annotations": annotations}
    containers = [{**first, "readinessProbe": {"exec": {"command": ["check"]}}}, *others]
    cluster.kubectl(f"delete pod {pod.name} -n {pod.namespace} --grace-period=0 --force")
    cluster.apply(
        json.dumps(
            {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**pod.spec, "containers": containers}}
        )
    )
