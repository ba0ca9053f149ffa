"""What a plot is in a notebook: a picture, a sentence for those who cannot see it, and the figure itself."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
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

    def _repr_html_(self) -> str:
        # An <img> of our own: JupyterLab gives a plain image/png no alternative text.
        data = base64.b64encode(self.png()).decode()
        return f'<img alt="{escape(self.alt, quote=True)}" style="max-width:100%" src="data:image/png;base64,{data}">'
