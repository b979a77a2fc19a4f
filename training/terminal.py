"""What commands print: tables of whole lines, and nothing that could steer the terminal."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console()

_ENDLESS = 10**6


def texts(cells: Iterable[object]) -> Iterator[Text]:
    """Return cells of a table as they are to be shown; others may have written what is in them."""
    for cell in cells:
        text = "" if cell is None else str(cell)
        yield Text("".join(one if one.isprintable() or one == "\n" else "?" for one in text))


def show(table: Table) -> None:
    """Print a table with whole lines; a narrow terminal breaks them itself and loses nothing."""
    endless = console.options.update(max_width=_ENDLESS)
    wide = console.measure(table, options=endless).maximum
    Console(width=wide).print(table, crop=False)


def say(sentence: str) -> None:
    """Print a line as it is."""
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
