"""Usage as a table for a person: it fits 80 columns, and money that is not the same is never in one column."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from claude_proxy.commands.usage_rows import Row, whole
from claude_proxy.ledger.cost import dollars
from claude_proxy.ledger.store import Total

WIDTH = 80
_TITLES = ("reqs", "input", "c.write", "c.read", "output", "list $", "billed $", "plan $", "unpriced")
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
_SESSION = 8  # characters of a session's id; enough to tell one from another
_LEGEND = (
    "c.write, c.read: tokens written to the cache and read from it. list $: what the",
    "API would charge; billed $: what is paid by the token; plan $: what the plan",
    "covers of it. They are not to be added up. unpriced: tokens without a price.",
)


def lines(by: str, given: Sequence[Row]) -> Iterator[str]:
    """The table with its sum, and what its columns mean."""
    cells = [_cells(row.total) for row in given]
    total = _cells(whole(given))
    widths = [max(len(text) for text in column) for column in zip(_TITLES, total, *cells, strict=True)]
    names = [_name(by, row) for row in given]
    room = WIDTH - sum(widths) - len(widths)
    width = min(room, max(len(name) for name in (*names, by, "total")))
    yield _line(by, _TITLES, width, widths)
    for name, row in zip(names, cells, strict=True):
        yield _line(_shortened(name, width), row, width, widths)
    yield _line("total", total, width, widths)
    yield ""
    yield from _LEGEND


def counted(number: int) -> str:
    """At most five characters: 999, 12.3k, 123k, 1.23M."""
    for unit, letter in _UNITS:
        # What would be rounded up to a thousand is one of the next unit.
        if number * 1000 >= unit * 999.5 and number >= 1000:
            value = number / unit
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{letter}"
    return str(number)


def money(amount: int) -> str:
    """Picodollars in dollars and cents, whole dollars where there are many; what is less than a cent is no nothing."""
    if 0 < amount < 5 * 10**9:
        return "<0.01"
    return dollars(amount, 2) if amount < 10**17 else str(round(amount / 10**12))


def _cells(total: Total) -> tuple[str, ...]:
    tokens = (
        total.input_tokens,
        total.cache_creation_input_tokens,
        total.cache_read_input_tokens,
        total.output_tokens,
    )
    return (
        counted(total.requests),
        *map(counted, tokens),
        *map(money, (total.list_value, total.billed, total.covered)),
        counted(total.unpriced_tokens),
    )


def _line(name: str, cells: Sequence[str], width: int, widths: Sequence[int]) -> str:
    right = " ".join(f"{cell:>{its}}" for cell, its in zip(cells, widths, strict=True))
    return f"{name:<{width}} {right}"


def _name(by: str, row: Row) -> str:
    """Printable: the path of a project is what a prompt says it is."""
    return "".join(char if char.isprintable() else "?" for char in _raw_name(by, row))


def _raw_name(by: str, row: Row) -> str:
    match by:
        case "session":
            return f"{row.name[:_SESSION]} {PurePosixPath(row.project).name if row.project else ''}".rstrip()
        case "month":
            return row.name[:7]
        case _:
            return row.name


def _shortened(name: str, width: int) -> str:
    """The end of a path or a model's name tells most."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"
