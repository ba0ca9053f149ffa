"""Columns lined up as Go's text/tabwriter does it, which prints every table and description of kubectl.

A tab ends a cell. Cells of a column that stand directly under each other share one width; a line without the cell ends
the block. The text after a line's last tab is no cell and is not padded.
"""

from __future__ import annotations


def align(text: str, minimum: int = 0, padding: int = 2) -> str:
    """*text* with its tabs replaced by spaces. *minimum* is the least width of a cell, its padding included."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[] for _ in lines]
    _measure(lines, widths, 0, len(lines), minimum, padding)
    return "\n".join(
        "".join(cell.ljust(width) for cell, width in zip(line, found, strict=False)) + line[-1]
        for line, found in zip(lines, widths, strict=True)
    )


def _measure(lines: list[list[str]], widths: list[list[int]], start: int, end: int, minimum: int, padding: int) -> None:
    column = len(widths[start]) if start < end else 0
    i = start
    while i < end:
        block = i
        while block < end and len(lines[block]) > column + 1:
            block += 1
        if block > i:
            width = max(minimum, padding + max(len(line[column]) for line in lines[i:block]))
            for row in range(i, block):
                widths[row].append(width)
            _measure(lines, widths, i, block, minimum, padding)
        i = max(block, i + 1)


def table(rows: list[list[str]]) -> str:
    """Rows as ``kubectl get`` prints them: cells at least six wide, three spaces between them, the last not padded."""
    return align("\n".join("\t".join(row) for row in rows), minimum=6, padding=3) + "\n" if rows else ""
