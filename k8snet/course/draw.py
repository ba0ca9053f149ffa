"""A learner's own draw: names, labels, ports, addresses and the place of the fault, from a seed.

The seed comes from the course key (public: it separates terms and hides nothing), the student id and the task id, so
that notebook and grader draw the same thing without storing anything. The rest of the file writes manifests for draws.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence

COURSE = "k8snet"

APPS = (
    "cart", "orders", "catalog", "payments", "search", "reviews", "stock", "mailer", "tickets", "ledger", "quotes", "feeds",
)  # fmt: skip
TEAMS = ("shop", "billing", "depot", "media", "travel", "library", "clinic", "garden", "harbour", "studio")
PORTS = range(8000, 9100, 10)
SERVICE_PORTS = (80, 81, 88, 443, 591, 800, 808, 880)


def generator(course: str, student: str, task: str) -> random.Random:
    """The seeded generator of one learner's task: the same three texts give the same numbers on every machine."""
    digest = hashlib.sha256("\n".join((course, student, task)).encode("utf-8", "replace")).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def several(rng: random.Random, pool: Sequence[str], count: int) -> list[str]:
    """*count* different members of a pool."""
    return rng.sample(list(pool), count)


def numbered(rng: random.Random, pool: Sequence[str]) -> str:
    """A name that few others draw, such as ``shop-417``: for what an answer must contain."""
    return f"{rng.choice(pool)}-{rng.randrange(100, 1000)}"


def shuffled(rng: random.Random, lines: Sequence[str], distractor: str) -> str:
    """The lines of an arrange task and one that does not belong, mixed and without indentation."""
    mixed = [line.strip() for line in (*lines, distractor)]
    rng.shuffle(mixed)
    return "\n".join(mixed)


def flow(mapping: Mapping[str, object]) -> str:
    """A map in YAML's short form: ``{app: cart, tier: "1"}``; text that YAML would take for something else in quotes."""
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in mapping.items()) + "}"


def _scalar(value: object) -> str:
    plain = isinstance(value, str) and value[:1].isalpha() and value.replace("-", "").replace(".", "").isalnum()
    return (
        str(value) if plain and value not in ("yes", "no", "true", "false", "on", "off", "null") else json.dumps(value)
    )


def join(*texts: str) -> str:
    """Manifests as one text of several documents."""
    return "---\n".join(f"{text.strip()}\n" for text in texts if text.strip())


def _head(version: str, kind: str, name: str, namespace: str, labels: Mapping[str, str]) -> str:
    lines = [f"apiVersion: {version}", f"kind: {kind}", "metadata:", f"  name: {name}"]
    lines += [f"  namespace: {namespace}"] if namespace else []
    return "\n".join([*lines, *([f"  labels: {flow(labels)}"] if labels else []), ""])


def _containers(name: str, ports: Mapping[str, int], indent: str, image: str, node: str = "") -> str:
    listed = ", ".join(
        flow({"name": key, "containerPort": p} if key else {"containerPort": p}) for key, p in ports.items()
    )
    line = f"containers: [{{name: {name}, image: {image}{f', ports: [{listed}]' if listed else ''}}}]\n"
    return (f"{indent}nodeName: {node}\n" if node else "") + indent + line


def namespace(name: str, labels: Mapping[str, str] = {}) -> str:
    """A Namespace."""
    return _head("v1", "Namespace", name, "", labels)


def pod(name: str, labels: Mapping[str, str] = {}, port: int = 0, *, ports: Mapping[str, int] = {},
        namespace: str = "", image: str = "example/app", node: str = "") -> str:  # fmt: skip
    """A Pod of one container that listens on *port*, or on several named *ports*; without any it is a client."""
    head = _head("v1", "Pod", name, namespace, labels)
    return f"{head}spec:\n" + _containers("app", ports or ({"": port} if port else {}), "  ", image, node)


def deployment(name: str, labels: Mapping[str, str], port: int = 0, replicas: int = 2, *,
               ports: Mapping[str, int] = {}, namespace: str = "", image: str = "example/app") -> str:  # fmt: skip
    """A Deployment whose Pods carry *labels* and listen as those of `pod` do."""
    inner = _containers("app", ports or ({"": port} if port else {}), "      ", image)
    spec = f"spec:\n  replicas: {replicas}\n  selector:\n    matchLabels: {flow(labels)}\n"
    template = f"  template:\n    metadata:\n      labels: {flow(labels)}\n    spec:\n{inner}"
    return _head("apps/v1", "Deployment", name, namespace, {}) + spec + template


def service(name: str, selector: Mapping[str, str], port: int, target: int | str = 0, *,
            namespace: str = "", **spec: object) -> str:  # fmt: skip
    """A Service with one port; further fields of its spec by name (``type="NodePort"``)."""
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in spec.items())
    entry = flow({"port": port, "targetPort": target} if target else {"port": port})
    selects = f"  selector: {flow(selector)}\n" if selector else ""
    return _head("v1", "Service", name, namespace, {}) + f"spec:\n{lines}{selects}  ports:\n    - {entry}\n"
