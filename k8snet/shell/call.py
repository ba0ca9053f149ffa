"""One call of kubectl: what was asked, what was printed so far, and the resources that arguments name.

Facts: k8s.io/cli-runtime pkg/resource/builder.go (TYPE NAME, TYPE/NAME, several types, ``-f``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k8snet.controlplane.api import Api
from k8snet.manifests import kinds, reader, selectors
from k8snet.manifests.errors import ApiError, KubectlError, KubernetesError
from k8snet.manifests.kinds import KINDS, Kind, Object
from k8snet.manifests.reader import Document
from k8snet.manifests.selectors import Selector
from k8snet.shell.commandline import Line
from k8snet.shell.frames import Aggregate, FileError

# What `all` means, in the order in which kubectl goes through it.
ALL = ("Pod", "Service", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")
ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass
class Call:
    """The command line, the cluster (None: there is none) and the current namespace of the context.

    Commands write to ``out``, ``warnings`` and ``notes`` (both go to standard error), and collect in ``errors`` what did
    not stop them.
    """

    line: Line
    cluster: Any
    context: dict[str, str]
    stdin: str = ""
    out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[KubernetesError] = field(default_factory=list)
    hint: str = ""

    @property
    def args(self) -> list[str]:
        """Arguments that are no flags."""
        return self.line.args

    def flag(self, name: str, default: Any = "") -> Any:
        """What a flag was set to."""
        return self.line.flags.get(name, default)

    @property
    def plane(self) -> Any:
        """The control plane. Raises KubectlError where there is no cluster."""
        if self.cluster is None:
            raise KubectlError(
                "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
                "There is no cluster yet in this notebook: make one with cluster = Cluster().",
            )
        return self.cluster.plane

    @property
    def api(self) -> Api:
        """The API server."""
        return self.plane.api  # type: ignore[no-any-return]

    @property
    def loaded(self) -> bool:
        """Whether the cluster is a dump, in which statuses may be missing."""
        return bool(self.plane.settings.loaded)

    @property
    def namespace(self) -> str:
        """``-n``, else the context's."""
        return str(self.flag("namespace") or self.context.get("namespace") or "default")

    @property
    def everywhere(self) -> bool:
        """Whether ``-A`` was given."""
        return bool(self.flag("all-namespaces", False))

    @property
    def dry_run(self) -> str:
        """``client``, ``server`` or empty. Raises KubectlError for another word."""
        value = self.flag("dry-run", "none")
        if value == "unchanged":
            self.warnings.append("--dry-run is deprecated and can be replaced with --dry-run=client.")
            return "client"
        if value not in ("none", "server", "client"):
            raise KubectlError(f'error: Invalid dry-run value ({value}). Must be "none", "server", or "client".')
        return "" if value == "none" else str(value)

    def usage_error(self, text: str) -> KubectlError:
        """An error with kubectl's pointer to the command's help."""
        return KubectlError(f"error: {text}\nSee 'kubectl {self.line.command} -h' for help and examples")

    def selector(self) -> Selector | None:
        """``-l``. Raises KubectlError for text that is no selector."""
        text = self.flag("selector")
        try:
            return selectors.parse(text) if text else None
        except ValueError as error:
            raise KubectlError(f"error: {error}") from None

    # resources from files

    def documents(self) -> list[tuple[str, Document]]:
        """The documents of every ``-f``, in order, with the file's name. Raises KubectlError for a path that does not
        exist."""
        files: list[tuple[str, str]] = []
        errors: list[KubernetesError] = []
        for name in self.flag("filename", []):
            try:
                files += self._files(name)
            except KubectlError as error:
                errors.append(error)
        if errors:
            raise Aggregate(errors)
        return [(source, document) for source, text in files for document in reader.read(text, source)]

    def _files(self, name: str) -> list[tuple[str, str]]:
        if name == "-":
            return [("STDIN", self.stdin)]
        if name.startswith(("http://", "https://")):
            raise KubectlError(f'error: unable to read URL "{name}", this cluster has no internet to fetch it from')
        path = Path(name)
        if not path.exists():
            raise KubectlError(f'error: the path "{name}" does not exist')
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise KubectlError(f"error: error reading [{name}]: recognized file extensions are [.json .yaml .yml]")
        try:
            return [(str(p), p.read_text(encoding="utf-8")) for p in files]
        except (OSError, UnicodeDecodeError) as error:
            raise KubectlError(f"error: error reading {name}: {error}") from None

    def place(self, obj: Object) -> Object:
        """The object in the namespace where kubectl would send it. Raises KubectlError if ``-n`` says another one."""
        meta, kind = obj.get("metadata") or {}, KINDS[obj["kind"]]
        if not kind.namespaced:
            return {**obj, "metadata": {k: v for k, v in meta.items() if k != "namespace"}}
        given, asked = meta.get("namespace"), self.flag("namespace")
        if given and asked and given != asked:
            raise KubectlError(
                f'error: the namespace from the provided object "{given}" does not match the namespace "{asked}". '
                f"You must pass '--namespace={given}' to perform this operation."
            )
        return {**obj, "metadata": {**meta, "namespace": given or self.namespace}}

    # resources from arguments

    def resources(self, args: list[str] | None = None) -> list[tuple[Kind, str]]:
        """What ``pods web``, ``pod/web svc/db``, ``pods,svc`` and ``all`` name: kinds with a name, or an empty name for
        all of the kind. Raises KubectlError, worded as kubectl words it."""
        args = self.args if args is None else args
        slashed = [a for a in args if "/" in a]
        if slashed:
            if len(slashed) < len(args) or any(a.count("/") > 1 for a in slashed):
                raise KubectlError(
                    "error: there is no need to specify a resource type as a separate argument when passing arguments in "
                    "resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource "
                    "resource/<resource_name>'"
                    if len(slashed) < len(args)
                    else "error: arguments in resource/name form may not have more than one slash"
                )
            return [
                (kind, name) for a in args for kind in _kinds(a.partition("/")[0]) for name in [a.partition("/")[2]]
            ]
        found = _kinds(args[0])
        return [(kind, name) for kind in found for name in (args[1:] or [""])]

    def matching(self, kind: Kind, name: str) -> list[Object]:
        """The objects that one entry of `resources` stands for. Raises ApiError NotFound for a name that is not there."""
        where = None if self.everywhere else self.namespace
        if kind.kind == "Endpoints" and ENDPOINTS not in self.warnings:
            self.warnings.append(ENDPOINTS)
        if name:
            if self.flag("selector") or self.flag("field-selector") or self.flag("all", False):
                raise KubectlError(
                    "error: selectors and the all flag cannot be used when passing resource/name arguments"
                    if any("/" in a for a in self.args)
                    else "error: name cannot be provided when a selector is specified"
                )
            if self.everywhere:
                raise KubectlError("error: a resource cannot be retrieved by name across all namespaces")
            return [self.api.get(kind.kind, self.namespace, name)]
        return self.api.list(kind.kind, where, self.selector(), self.flag("field-selector") or None)

    def collect(self, need_filter: bool = False, doing: str = "") -> list[Object]:
        """Every stored object that files and arguments name; those that are not there become errors of the call.

        *need_filter*: naming a kind alone is not enough. *doing*: the verb for errors about objects of a file.
        """
        if self.flag("filename", []):
            return [obj for source, document in self.documents() for obj in self._stored(source, document, doing)]
        if not self.args:
            raise KubectlError(NO_RESOURCES)
        found: list[Object] = []
        filtered = self.flag("selector") or self.flag("all", False) or self.flag("field-selector")
        if self.flag("selector") and self.flag("all", False):
            raise KubectlError("error: setting 'all' parameter but found a non empty selector. ")
        for kind, name in self.resources():
            if need_filter and not name and not filtered:
                raise KubectlError("error: resource(s) were provided, but no name was specified")
            try:
                found += self.matching(kind, name)
            except ApiError as error:
                self.errors.append(error)
        return found

    def _stored(self, source: str, document: Document, doing: str) -> list[Object]:
        try:
            if document.error is not None or document.obj is None:
                raise document.error or KubectlError("error: no objects found")
            obj = self.place(document.obj)
            return [self.api.get(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))]
        except ApiError as error:
            self.errors.append(FileError(doing, source, error) if doing else error)
        except KubectlError as error:
            self.errors.append(error)
        return []

    def pod(self, text: str) -> Object:
        """The Pod that ``POD`` or ``TYPE/NAME`` means: of a Service or a workload the first that it selects. Raises
        ApiError NotFound, and KubectlError where there is none to take."""
        kind, name = (self.resources([text])[0]) if "/" in text else (KINDS["Pod"], text)
        obj = self.api.get(kind.kind, self.namespace, name)
        if kind.kind == "Pod":
            return obj
        selector = (obj.get("spec") or {}).get("selector")
        if not selector:
            raise KubectlError(
                f"error: cannot attach to *v1.{kind.kind}: invalid {kind.singular} '{name}': {kind.kind} is defined without a "
                "selector"
            )
        chosen = selectors.from_labels(selector) if kind.kind == "Service" else selectors.from_label_selector(selector)
        pods = self.api.list("Pod", self.namespace, chosen)
        if not pods:
            raise KubectlError("error: timed out waiting for the condition", f"{kind.singular}/{name} selects no Pod.")
        return min(pods, key=lambda p: ((p.get("status") or {}).get("phase") != "Running", p["metadata"]["name"]))


def _kinds(words: str) -> list[Kind]:
    found: list[Kind] = []
    for word in words.split(","):
        if word == "all":
            found += [KINDS[k] for k in ALL]
            continue
        kind = kinds.find(word)
        if not word:
            raise KubectlError("error: arguments in resource/name form must have a single resource and name")
        if kind is None:
            raise KubectlError(f'error: the server doesn\'t have a resource type "{word}"')
        found.append(kind)
    return found


NO_RESOURCES = """error: You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'"""
