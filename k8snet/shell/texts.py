"""The tables and texts of this room, which lie in YAML beside the code."""

from __future__ import annotations

from functools import partial

from k8snet.manifests import tables
from k8snet.manifests.errors import KubectlError

table = partial(tables.table, package=__package__)


def error(key: str, hint: str = "", /, **words: object) -> KubectlError:
    """One of kubectl's own errors: its text in ``errors.yaml``, with *words* in place of the names in braces."""
    return KubectlError("error: " + table("errors")[key].format(**words), hint)
