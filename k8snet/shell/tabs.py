"""Columns lined up as Go's text/tabwriter does it, which prints every table and description of kubectl.

A tab ends a cell. Cells of a column that stand directly under each other share one width; a line without the cell ends
the block. The text after a line's last tab is no cell and is not padded.
"""

from __future__ import annotations

from itertools import groupby


def align(text: str, minimum: int = 0, padding: int = 2) -> str:
    """*text* with its tabs replaced by spaces. *minimum* is the least width of a cell, its padding included."""
    lines = [line.split("\t") for line in text.split("\n")]
    for column in range(max(map(len, lines)) - 1):
        for has_cell, block in groupby(lines, lambda line, last=column + 1: len(line) > last):  # type: ignore[misc]
            rows = list(block) if has_cell else []
            width = max((minimum, *(padding + len(row[column]) for row in rows)))
            for row in rows:
                row[column] = row[column].ljust(width)
    return "\n".join(map("".join, lines))


def table(rows: list[list[str]]) -> str:
    """Rows as ``kubectl get`` prints them: cells at least six wide, three spaces between them, the last not padded."""
    return align("\n".join("\t".join(row) for row in rows), minimum=6, padding=3) + "\n" if rows else ""
