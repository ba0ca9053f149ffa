"""What answers HTTP at the end of a connection, controllers' proxies apart: Pods, hosts outside, programs of nodes.

The body of a Pod's answer is the simulator's own: who answers, what it was asked, and the address that it saw. Which
paths a server has, and which protocols are no HTTP, is known for the images of images.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass

from k8snet.controlplane.listeners import image_facts
from k8snet.controlplane.metadata import containers_of
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane.http import Certificate, Headers, Request, Response, header, title
from k8snet.dataplane.proxy import health_check
from k8snet.dataplane.trace import Outcome

PATHS = "k8snet.io/paths"
API_SERVER = Certificate("", ("kubernetes", "kubernetes.default.svc"), "unable to get local issuer certificate")
FORBIDDEN = '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"forbidden: User \\"system:anonymous\\" cannot get path \\"%s\\"","reason":"Forbidden","code":403}'  # fmt: skip
# What a cloud's metadata service gives to whoever asks from a node's address: keys of the node's role (AWS, version 1).
METADATA = "/latest/meta-data/iam/security-credentials/"
KEYS = '{"Code":"Success","AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"example-of-the-node","Token":"example"}'
# What a server that speaks another protocol does when it is sent a line of HTTP.
NOT_HTTP = {
    "postgres": ("empty", "PostgreSQL reads GET as the length of a packet, finds it too long and hangs up"),
    "redis": ("empty", "Redis takes a line that begins with Host: for an attack and hangs up"),
    "dns": ("empty", "a DNS server waits for the rest of a message that never comes, and hangs up"),
    "mysql": ("not http", "MySQL speaks first: its greeting is no HTTP"),
    "memcached": ("not http", "memcached answers ERROR, which is no HTTP"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer, or how the exchange failed (``error`` and ``detail`` as in fetch.Exchange); the certificate that
    it showed, if it speaks TLS, and the seconds that it took."""

    response: Response | None = None
    error: str = ""
    detail: str = ""
    certificate: Certificate | None = None
    seconds: float = 0.0


def reply(snapshot: Snapshot, outcome: Outcome, port: int, request: Request) -> Reply:
    """What the server that accepted a connection (``outcome.server``, on *port*) says to a request."""
    pod, who = snapshot.pods.get(outcome.server), outcome.server
    if pod is not None:
        return _pod(pod, port, request, outcome)
    check = health_check(snapshot, who, port)
    if check is not None:
        return Reply(page(check.status, f"kube-proxy of {who}", check.body))
    host = next((h for h in snapshot.settings.internet.hosts if who in (h.name, h.ip)), None)
    if host is None:
        shown = API_SERVER if port == 6443 else None
        status, line = (403, FORBIDDEN % request.pathname) if shown else (404, "")
        if who == "cloud-metadata" and request.pathname.startswith(METADATA):
            status, line = 200, KEYS if request.pathname != METADATA else "node-role"
        who = "the API server" if shown else who
    else:
        shown, known = Certificate("", host.sites) if port == 443 else None, host.sites
        status, line = 200, f"Hello from {who}: {request.path} from {outcome.server_saw}"
        if known and request.hostname.removesuffix(".") not in known:  # as nginx and Apache take it
            status = 421 if shown else 404
            line = f"{title(status)} ({who} has no site {request.hostname})"
    if (request.scheme == "https") != (shown is not None):
        return wrong_scheme(request, who)
    return Reply(page(status, who, line), certificate=shown)


def page(status: int, said_by: str, line: str = "", server: str = "", headers: Headers = ()) -> Response:
    """An answer with a line of text; without one, the status and who says it."""
    body = (line or f"{title(status)} ({server or said_by})") + "\n"
    own = (("Server", server),) if server else ()
    size = ("Content-Length", str(len(body.encode())))
    return Response(status, said_by, (*own, ("Content-Type", "text/plain"), size, *headers), body)


def wrong_scheme(request: Request, who: str) -> Reply:
    """http on a port where TLS is spoken, or https on one where it is not."""
    if request.scheme == "http":
        return Reply(page(400, who, "400 The plain HTTP request was sent to HTTPS port", who.partition(" (")[0]))
    return Reply(None, "tls", "TLS connect error: error:0A00010B:SSL routines::wrong version number")


def _pod(pod: Pod, port: int, request: Request, outcome: Outcome) -> Reply:
    """The web server of a Pod; its own 404 for a path that it does not have (annotation ``k8snet.io/paths``, a trailing
    ``*`` for all that begin so; else what its image is known to have; else every path is there)."""
    if pod.listeners is None:
        return Reply(None, "undefined", outcome.message)
    container = next((s.container for s in pod.listeners if s.port == port), "")
    images = {c.get("name"): c.get("image") or "" for c in containers_of(pod.spec)}
    facts, who = image_facts(images.get(container, "")), f"the application in Pod {pod.key}"
    spoken = dict(entry.split("=") for entry in facts.get("speaks", "").split())
    if str(port) in spoken:
        return Reply(None, *NOT_HTTP[spoken[str(port)]])
    if request.scheme == "https":
        return wrong_scheme(request, who)
    server, path = facts.get("server", "k8snet"), request.pathname
    known = (pod.obj["metadata"].get("annotations") or {}).get(PATHS, facts.get("paths", "*")).replace(",", " ").split()
    if not any(path == k or (k.endswith("*") and path.startswith(k[:-1])) for k in known):
        return Reply(page(404, who, f"404 Not Found ({pod.name} has no {path})", server))
    forwarded = header(request.headers, "X-Forwarded-For")
    via = f", for {forwarded}" if forwarded else ""
    line = f"Hello from {pod.name}: {request.method} {request.path} for {request.host} from {outcome.server_saw}{via}"
    return Reply(page(200, who, line, server))
