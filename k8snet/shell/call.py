"""One call of kubectl: what was asked, what was printed so far, and the resources that arguments name.

Facts: k8s.io/cli-runtime pkg/resource/builder.go (TYPE NAME, TYPE/NAME, several types, ``-f``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
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
from k8snet.shell.texts import error

# What `all` means, in the order in which kubectl goes through it.
ALL = ("Pod", "Service", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet")
ENDPOINTS = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
SUFFIXES = (".json", ".yaml", ".yml")


@dataclass
class Call(Line):
    """A command line, the cluster that it is for (None: there is none) and the current namespace of the context.

    Commands write to ``out``, ``warnings`` and ``notes`` (both go to standard error), and collect in ``errors`` what did
    not stop them.
    """

    cluster: Any = None
    context: dict[str, str] = field(default_factory=dict)
    stdin: str = ""
    out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[KubernetesError] = field(default_factory=list)
    hint: str = ""

    @property
    def plane(self) -> Any:
        """The control plane. Raises KubectlError where there is no cluster."""
        if self.cluster is None:
            raise KubectlError(
                "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
                "There is no cluster yet in this notebook: make one with cluster = Cluster(), "
                'in an exercise with cluster("TASK").',
            )
        return self.cluster.plane

    @property
    def api(self) -> Api:
        """The API server."""
        return self.plane.api  # type: ignore[no-any-return]

    @property
    def namespace(self) -> str:
        """``-n``, else the context's."""
        return str(self.flag("namespace") or self.context.get("namespace") or "default")

    @property
    def switches(self) -> set[str]:
        """The flags without a value that are on."""
        return {name for name, value in self.flags.items() if value is True}

    @property
    def everywhere(self) -> bool:
        """Whether ``-A`` was given."""
        return bool(self.flag("all-namespaces"))

    @cached_property
    def dry_run(self) -> str:
        """``client``, ``server`` or empty. Raises KubectlError for another word."""
        value = self.flag("dry-run", "none")
        if value == "unchanged":
            self.warnings.append("--dry-run is deprecated and can be replaced with --dry-run=client.")
            return "client"
        if value not in ("none", "server", "client"):
            raise error("dry run", value=value)
        return "" if value == "none" else str(value)

    def usage_error(self, key: str, /, **words: object) -> KubectlError:
        """An error of ``errors.yaml`` with kubectl's pointer to the command's help."""
        problem = error(key, **words).message.removeprefix("error: ")
        return error("help", problem=problem, command=self.command)

    def selector(self) -> Selector:
        """``-l``. Raises KubectlError for text that is no selector."""
        try:
            return selectors.parse(self.flag("selector"))
        except ValueError as wrong:
            raise KubectlError(f"error: {wrong}") from None

    # resources from files

    def documents(self) -> list[tuple[str, Document]]:
        """The documents of every ``-f``, in order, with the file's name. Raises KubectlError for paths that do not
        exist."""
        files: list[tuple[str, str]] = []
        errors: list[KubernetesError] = []
        for name in self.flag("filename"):
            try:
                files += self._files(name)
            except KubectlError as wrong:
                errors.append(wrong)
        if errors:
            raise Aggregate(errors)
        return [(source, document) for source, text in files for document in reader.read(text, source)]

    def _files(self, name: str) -> list[tuple[str, str]]:
        if name == "-":
            return [("STDIN", self.stdin)]
        path = Path(name)
        if name.startswith(("http://", "https://")) or not path.exists():
            raise error("url" if "://" in name else "no path", path=name)
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES) if path.is_dir() else [path]
        if not files:
            raise error("extensions", path=name)
        try:
            return [(str(p), p.read_text(encoding="utf-8")) for p in files]
        except (OSError, UnicodeDecodeError) as wrong:
            raise error("unreadable", path=name, reason=wrong) from None

    def place(self, obj: Object) -> Object:
        """The object in the namespace where kubectl would send it. Raises KubectlError if ``-n`` says another one."""
        meta = obj.get("metadata") or {}
        if not KINDS[obj["kind"]].namespaced:
            return {**obj, "metadata": {k: v for k, v in meta.items() if k != "namespace"}}
        given, asked = meta.get("namespace"), self.flag("namespace")
        if given and asked and given != asked:
            raise error("namespace", given=given, asked=asked)
        return {**obj, "metadata": {**meta, "namespace": given or self.namespace}}

    # resources from arguments

    def resources(self, args: list[str] | None = None) -> list[tuple[Kind, str]]:
        """What ``pods web``, ``pod/web svc/db``, ``pods,svc`` and ``all`` name: kinds with a name, or an empty name for
        all of the kind. Raises KubectlError, worded as kubectl words it."""
        args = self.args if args is None else args
        slashes = [a.count("/") for a in args]
        if not any(slashes):
            return [(kind, name) for kind in _kinds(args[0]) for name in (args[1:] or [""])]
        if not all(slashes):
            raise error("type and slash")
        if max(slashes) > 1:
            raise error("two slashes")
        return [(kind, name) for word, _, name in (a.partition("/") for a in args) for kind in _kinds(word)]

    def matching(self, kind: Kind, name: str) -> list[Object]:
        """The objects that one entry of `resources` stands for. Raises ApiError NotFound for a name that is not there."""
        if kind.kind == "Endpoints" and ENDPOINTS not in self.warnings:
            self.warnings.append(ENDPOINTS)
        if not name:
            where = None if self.everywhere else self.namespace
            return self.api.list(kind.kind, where, self.selector(), self.flag("field-selector") or None)
        if self.filtered:
            raise error("selector and slash" if any("/" in a for a in self.args) else "selector and name")
        if self.everywhere:
            raise error("name everywhere")
        return [self.api.get(kind.kind, self.namespace, name)]

    @property
    def filtered(self) -> bool:
        """Whether objects are chosen by something else than their names."""
        return bool(self.flag("selector") or self.flag("field-selector") or self.flag("all"))

    def collect(self, need_filter: bool = False, doing: str = "") -> list[Object]:
        """Every stored object that files and arguments name; those that are not there become errors of the call.

        *need_filter*: naming a kind alone is not enough. *doing*: the verb for errors about objects of a file.
        """
        if self.flag("filename"):
            return [obj for source, document in self.documents() for obj in self._stored(source, document, doing)]
        if not self.args:
            raise error("resources")
        if self.flag("selector") and self.flag("all"):
            raise error("all and selector")
        found: list[Object] = []
        for kind, name in self.resources():
            if need_filter and not name and not self.filtered:
                raise error("no name")
            try:
                found += self.matching(kind, name)
            except ApiError as wrong:
                self.errors.append(wrong)
        return found

    def _stored(self, source: str, document: Document, doing: str) -> list[Object]:
        try:
            if document.error is not None or document.obj is None:
                raise document.error or KubectlError("error: no objects found")
            obj = self.place(document.obj)
            return [self.api.get(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"].get("name", ""))]
        except ApiError as wrong:
            self.errors.append(FileError(doing, source, wrong) if doing else wrong)
        except KubectlError as wrong:
            self.errors.append(wrong)
        return []

    def pod(self, text: str) -> Object:
        """The Pod that ``POD`` or ``TYPE/NAME`` means: of a Service or a workload the first that it selects. Raises
        ApiError NotFound, and KubectlError where there is none to take."""
        kind, name = self.resources([text] if "/" in text else ["pod", text])[0]
        obj = self.api.get(kind.kind, self.namespace, name)
        if kind.kind == "Pod":
            return obj
        selector = (obj.get("spec") or {}).get("selector")
        if not selector:
            raise error("no selector", kind=kind.kind, word=kind.singular, name=name)
        chosen = selectors.from_labels(selector) if kind.kind == "Service" else selectors.from_label_selector(selector)
        pods = self.api.list("Pod", self.namespace, chosen)
        if not pods:
            raise error("no pod", f"{kind.singular}/{name} selects no Pod.")
        return min(pods, key=lambda p: ((p.get("status") or {}).get("phase") != "Running", p["metadata"]["name"]))


def _kinds(words: str) -> Iterator[Kind]:
    for word in words.split(","):
        if not word:
            raise error("one resource")
        kind = kinds.find(word)
        if kind is None and word != "all":
            raise error("resource type", word=word)
        yield from [kind] if kind else [KINDS[k] for k in ALL]
