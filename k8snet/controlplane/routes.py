"""What Ingress and Gateway controllers read from objects: whose an Ingress is, hosts, paths, certificates, endpoints.

Facts: networking/v1 types.go and the Ingress page of the documentation; gateway-api apis/v1. Controllers run as Pods.
Which controller a Pod runs stands in its annotation (`CONTROLLER`, `GATEWAY`) or, for known images, in images.yaml.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from k8snet.controlplane.admission import CLASS_ANNOTATION
from k8snet.controlplane.listeners import image_facts
from k8snet.controlplane.metadata import containers_of
from k8snet.controlplane.snapshot import Pod, Service, ServicePort, Snapshot
from k8snet.manifests.kinds import Object, Ref, ref

CONTROLLER = "k8snet.io/ingress-controller"
GATEWAY = "k8snet.io/gateway"
CERT_HOSTS = "k8snet.io/cert-hosts"


def controller_in(pod: Pod) -> str:
    """The Ingress controller (as in ``spec.controller``) that a Pod runs: by its annotation, or as known for its
    image. Empty if it runs none."""
    images = (image_facts(c.get("image") or "") for c in containers_of(pod.spec))
    known = next((f["ingress-controller"] for f in images if "ingress-controller" in f), "")
    return str((pod.obj["metadata"].get("annotations") or {}).get(CONTROLLER, known))


def gateway_of(pod: Pod) -> str:
    """The Gateway (``namespace/name``) whose proxy a Pod is, by its annotation; empty if it is none."""
    return str((pod.obj["metadata"].get("annotations") or {}).get(GATEWAY, ""))


def running(snapshot: Snapshot) -> dict[str, list[Pod]]:
    """The Pods of each Ingress controller that runs, by its name."""
    found: dict[str, list[Pod]] = {}
    for pod in snapshot.pods.values():
        if not pod.finished and (name := controller_in(pod)):
            found.setdefault(name, []).append(pod)
    return found


# Ingress classes


def controller_of(ingress: Object, classes: Iterable[Object]) -> tuple[str, str]:
    """The controller that an Ingress is meant for, and why; an empty name: nobody serves it.

    Where an old object has both the annotation and the field, the annotation wins (KEP-1453).
    """
    field = "spec.ingressClassName"
    name = (ingress.get("spec") or {}).get("ingressClassName")
    old = (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION)
    if old:
        name, field = old, f"the annotation {CLASS_ANNOTATION}"
    if not name:
        return "", "it names no IngressClass, and there was no default class when it was created"
    for c in classes:
        if c["metadata"]["name"] == name:
            controller = c["spec"]["controller"]
            return controller, f"{field} names IngressClass {name}, whose spec.controller is {controller}"
    return "", f"{field} names IngressClass {name}, which does not exist"


# Hosts and paths


def one_label(pattern: str, host: str) -> bool:
    """Whether an Ingress host or a certificate name takes *host*: equal, or ``*.`` for exactly one label."""
    pattern, host = pattern.lower(), host.lower()
    label, _, domain = host.partition(".")
    return pattern == host or (pattern.startswith("*.") and bool(label) and pattern[2:] == domain)


def suffix(pattern: str, host: str) -> bool:
    """Whether a Gateway API hostname takes *host*: none takes all, ``*.`` stands for one or more labels."""
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern[1:])
    return pattern in ("", host)


def takes_prefix(prefix: str, path: str) -> bool:
    """Whether a Prefix path takes *path*: element by element, a trailing slash of either not counted."""
    prefix = prefix.removesuffix("/")
    return path == prefix or path.startswith(prefix + "/")


# Certificates


def bad_certificate(secret: Object | None) -> str:
    """Why a Secret holds no certificate that a server can show; empty if it does (``tls.crt`` is PEM-framed)."""
    if secret is None:
        return "the Secret does not exist"
    stored = (secret.get("data") or {}).get("tls.crt") or ""
    try:
        text = base64.b64decode(stored, validate=True).decode("latin-1").strip()
    except ValueError:
        return "tls.crt is not base64"
    if not (text.startswith("-----BEGIN CERTIFICATE-----") and text.endswith("-----END CERTIFICATE-----")):
        return "tls.crt holds no PEM certificate"
    return ""


def certificate_names(secret: Object, hosts: Iterable[str]) -> tuple[str, ...]:
    """The names that a certificate is valid for: those of the annotation ``k8snet.io/cert-hosts``, else *hosts* (of the
    entries that name its Secret): the simulator reads no certificates."""
    given = (secret["metadata"].get("annotations") or {}).get(CERT_HOSTS)
    return tuple(given.replace(",", " ").split()) if given is not None else tuple(h for h in hosts if h)


def secret_by_key(snapshot: Snapshot) -> Mapping[str, Object]:
    """Secrets by ``namespace/name``."""
    return {ref(o).key: o for o in snapshot.objects("Secret")}


# Backends


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service port as a proxy uses it: straight to its ready endpoints. ``problem`` says why there is none."""

    service: str
    port: int
    endpoints: tuple[tuple[str, int], ...] = ()
    problem: str = ""
    missing: bool = False


def backend(snapshot: Snapshot, namespace: str, name: str, port: int | str) -> Backend:
    """The Service *name* and its port (number or name), with the addresses and ports of its ready endpoints."""
    key, number = f"{namespace}/{name}", port if isinstance(port, int) else 0
    service = snapshot.services.get(key)
    if service is None:
        return Backend(key, number, (), f"there is no Service {key}", True)
    found = next((p for p in service.ports if port in (p.port, p.name)), None)
    if found is None:
        has = ", ".join(f"{p.name} {p.port}".strip() for p in service.ports) or "none"
        return Backend(key, number, (), f"Service {key} has no port {port} (it has: {has})", True)
    endpoints = ready_endpoints(snapshot, service, found)
    return Backend(key, found.port, endpoints, "" if endpoints else f"Service {key} has no ready endpoint")


def ready_endpoints(snapshot: Snapshot, service: Service, port: ServicePort) -> tuple[tuple[str, int], ...]:
    """Address and target port of each ready endpoint behind a Service port, in the family that the Service has first."""
    slices = snapshot.slices_of.get(service.key, ())
    first = [s for s in slices if service.families[:1] == (s.family,)]
    wanted, found = (port.name, port.protocol), []
    for s in first or slices:
        numbers = [p.port for p in s.ports if (p.name, p.protocol) == wanted and p.port]
        ready = [e.addresses[0] for e in s.endpoints if e.ready is not False and e.addresses]
        found += [(ip, number) for number in numbers for ip in ready]
    return tuple(dict.fromkeys(found))


def age(obj: Object) -> tuple[str, str]:
    """Sorts objects as controllers settle ties: the older first, then by namespace/name."""
    r: Ref = ref(obj)
    return obj["metadata"].get("creationTimestamp") or "", r.key
