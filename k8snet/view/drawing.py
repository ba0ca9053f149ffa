"""What a plot is in a notebook: a picture, a sentence for those who cannot see it, and the figure itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Drawing:
    """A matplotlib ``figure`` with its alternative text; ``str()`` is that text and says all that the picture shows."""

    figure: Any
    alt: str

    def png(self, dpi: int = 96) -> bytes:
        """The picture as PNG bytes, the same for the same figure."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
        return buffer.getvalue()

    def save(self, path: str, dpi: int = 144) -> None:
        """Write the picture to a file; the ending of *path* says the format."""
        self.figure.savefig(path, dpi=dpi, bbox_inches="tight")

    def __str__(self) -> str:
        return self.alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"image/png": self.png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt.partition("\n")[0]}}
