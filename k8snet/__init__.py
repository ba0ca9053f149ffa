"""k8snet: text goes in, objects are kept, a packet is followed, a person sees why.

The rooms, in the order of the data flow: `manifests`, `controlplane`, `dataplane`, `shell`, `view`, `course`.
``from k8snet import Cluster`` is the front door; everything else is imported when first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k8snet.cluster import Cluster

__all__ = ["Cluster"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Cluster":
        from k8snet.cluster import Cluster

        return Cluster
    raise AttributeError(f"module 'k8snet' has no attribute '{name}'")


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext k8snet``: the magics ``%kubectl`` and ``%%kubectl``."""
    from k8snet.shell.magics import load_ipython_extension as load

    load(ipython)
