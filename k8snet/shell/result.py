"""What a command leaves behind: two streams and an exit code, as a terminal would show them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k8snet.dataplane.trace import Trace


@dataclass(frozen=True)
class Result:
    """Output of one command. Truthy if it succeeded. ``hint`` is the course's own word and is shown apart.

    ``trace`` is the journey behind the output where a packet was sent; ``str()`` is what the terminal shows.
    """

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    hint: str = ""
    trace: Trace | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return self.exit_code == 0

    def __str__(self) -> str:
        parts = (self.stdout, self.stderr, self.hint and f"hint: {self.hint}")
        return "\n".join(part.removesuffix("\n") for part in parts if part).rstrip("\n")

    def __repr__(self) -> str:
        return str(self)
