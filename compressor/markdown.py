"""Markdown tables and the way numbers are written in them."""

from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table with a line for the head and one for each row."""
    cells = list(head)
    lines = [cells, ["---"] * len(cells), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def kilobytes(size_bytes: int) -> str:
    """1,000 bytes are a kilobyte."""
    return f"{size_bytes / 1000:,.1f} kB"
