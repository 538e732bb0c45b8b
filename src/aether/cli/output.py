"""What commands print: rows as tables that fit the terminal, or as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

__all__ = ["cells", "plain", "printable", "show", "table", "timestamp"]

_ERRORS = ("error", "last_error", "reason")
_LONG = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
GAP = 3
CELL_MAX = 500
WHOLE_MAX = 20
"""Cells up to this long are shown whole or not at all; longer ones are cut at it, or further right, where it is
tight."""


def printable(text: str) -> str:
    """Text of clients as it may go to a terminal, which would obey what some characters tell it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def timestamp(unix_s: float) -> str:
    """A time to the second, in UTC; empty for 0, which is none."""
    return dt.datetime.fromtimestamp(int(unix_s), dt.UTC).isoformat().replace("+00:00", "Z") if unix_s else ""


def plain(message: Message, *, whole: bool = True) -> dict[str, Any]:
    """A message for JSON: names as in the protocol, enumerations by their own part of the name (``waiting_input``),
    priorities and all other numbers as numbers.

    :param whole: also what is empty, so that programs find the same names in each row.
    """
    row: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=whole
    )
    _simplify(row, message.DESCRIPTOR)
    return row


def _simplify(row: dict[str, Any], descriptor: Any) -> None:
    for field in descriptor.fields:
        if field.name not in row:
            continue
        value = row[field.name]
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for part in value if isinstance(value, list) else [value]:
                _simplify(part, field.message_type)
        elif field.enum_type is not None or field.cpp_type in _LONG:
            row[field.name] = (
                [_simple(one, field) for one in value] if isinstance(value, list) else _simple(value, field)
            )


def _simple(value: Any, field: FieldDescriptor) -> Any:
    """A number that JSON has as text, or an enumeration."""
    if field.enum_type is None:
        return int(value)
    known = field.enum_type.values_by_name
    if value not in known:
        return value
    if field.enum_type.name == "TaskPriority":
        return known[value].number
    none = field.enum_type.values_by_number[0].name
    return value.removeprefix(none.removesuffix("UNSPECIFIED") if none.endswith("_UNSPECIFIED") else "").lower()


def cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[Text]:
    """One row of a table; brackets are brackets."""
    return [Text(_text(row, column)) for column in columns]


def show(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, important: Sequence[str] = ()
) -> None:
    """Print rows as a table, or as JSON with all that is known of each.

    A terminal gets what fits into its width; everything else gets lines as long as they are.

    :param important: columns that are left out last where it is tight; the first column never is.
    """
    if as_json:
        click.echo(json.dumps(list(rows), indent=2))
        return
    console, rows = Console(), list(rows)
    if not console.is_terminal:
        console.width = _total(_natural(rows, columns))
    shown, left_out = table(rows, columns, console.width, important)
    with console.capture() as capture:
        console.print(shown, soft_wrap=isinstance(shown, Text))
    text = capture.get()
    # In a file nothing is behind the last word of a line: one long cell must not make all lines long.
    click.echo(text if console.is_terminal else "".join(f"{line.rstrip()}\n" for line in text.splitlines()), nl=False)
    if left_out:
        click.echo(f"left out for lack of room: {', '.join(map(_title, left_out))}; --json has everything", err=True)


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int, important: Sequence[str] = ()
) -> tuple[RenderableType, list[str]]:
    """Rows as they are printed, and the columns that were left out.

    Where not even three columns fit, each row is a block of lines instead, so that nothing has to be cut.

    :param width: characters of a line.
    """
    widths = _widths(rows, columns, width, important)
    left_out = [column for column in columns if column not in widths and any(_text(row, column) for row in rows)]
    if left_out and len(widths) < 3:
        return _blocks(rows, columns), []
    return _table(rows, [column for column in columns if column in widths], widths), left_out


def _widths(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int, important: Sequence[str]
) -> dict[str, int | None]:
    """The columns that fit into a line, and how wide each may be."""
    natural = _natural(rows, columns)
    first, *others = columns
    if _total(natural) <= width:
        return dict.fromkeys(columns)
    by_importance = [*important, *(name for name in others if name not in important)]
    widths: dict[str, int | None] = {}
    left = width - natural[first]
    chosen = []
    for name in by_importance:
        least = min(natural[name], WHOLE_MAX)
        if any(_text(row, name) for row in rows) and GAP + least <= left:
            chosen.append(name)
            left -= GAP + least
    widths[first] = natural[first]
    for name in chosen:  # what is left goes to those that matter most
        least = min(natural[name], WHOLE_MAX)
        more = min(natural[name] - least, left)
        widths[name] = least + more
        left -= more
    return widths


def _natural(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, int]:
    """How wide each column is if nothing is cut."""
    return {name: max([cell_len(_title(name)), *(cell_len(_text(row, name)) for row in rows)]) for name in columns}


def _total(widths: Mapping[str, int]) -> int:
    """The width of a line."""
    return sum(widths.values()) + GAP * (len(widths) - 1)


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], widths: Mapping[str, int | None]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        shown.add_column(_title(column), no_wrap=True, overflow="ellipsis", width=widths[column])
    for row in rows:
        shown.add_row(*cells(row, columns))
    return shown


def _blocks(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Text:
    indent = max(cell_len(_title(column)) for column in columns) + 2
    blocks = [
        "\n".join(f"{_title(column):{indent}}{text}" for column in columns if (text := _text(row, column)))
        for row in rows
    ]
    return Text("\n\n".join(blocks))


def _title(column: str) -> str:
    return column.replace("_", " ")


def _text(row: Mapping[str, Any], column: str) -> str:
    """A cell. Of an error in several lines, such as the output of something that failed, the first and the last tell
    the most; all else is shown as it is, line breaks included."""
    text = str(row.get(column, ""))
    if column in _ERRORS:
        lines = [line for line in text.splitlines() if line.strip()]
        text = " … ".join([lines[0], lines[-1].strip()] if len(lines) > 1 else lines)
    text = printable(text)
    return text if len(text) <= CELL_MAX else text[: CELL_MAX - 1] + "…"
