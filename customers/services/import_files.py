"""CSV files as people have them, read into rows of text; whatever is wrong with a row is said of that row.

UTF-8, with or without its mark. The first line names the columns and shows the separator. Only what leaves the
following rows in doubt refuses the whole file: another encoding, quotes that do not pair up, a cell without an end.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Final

from django.conf import settings

from customers.errors import ImportTooLarge, ImportUnreadable

_DELIMITERS: Final = (",", ";", "\t")
_LOOKED_AT: Final = 20
_COLUMNS_MAX: Final = 100
_HEADER_MAX: Final = 200
#: The longest cell that any field takes is metadata.
CELL_MAX: Final = 16 * 1024
#: What stands for a NUL, which no database column takes.
_NUL_SHOWN: Final = "␀"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One row: its cells, one for each column, and why they cannot be used, if so."""

    line: int
    cells: list[str]
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFile:
    name: str
    sha256: str
    size_bytes: int
    delimiter: str
    columns: list[str]
    rows: list[FileRow]


def file_read(*, name: str, content: bytes) -> ImportFile:
    """The rows of a file. Raises ImportUnreadable, ImportTooLarge."""
    if len(content) > settings.IMPORT_MAX_BYTES:
        raise ImportTooLarge(f"A file has at most {settings.IMPORT_MAX_BYTES:,} bytes.")
    text = _decoded(content)
    delimiter = _delimiter(text)
    records = _records(text, delimiter)
    columns = _columns(next(records, (1, []))[1])
    return ImportFile(
        name=_shown_name(name),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        delimiter=delimiter,
        columns=columns,
        rows=_rows(records, len(columns)),
    )


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ImportUnreadable(f"Line {line} is not UTF-8. Save the file as CSV UTF-8.") from None


def _delimiter(text: str) -> str:
    """That which divides most of the first lines as it does the first of all, and that into most columns."""
    return max(_DELIMITERS, key=lambda delimiter: _fit(text, delimiter))


def _fit(text: str, delimiter: str) -> tuple[int, int]:
    widths: list[int] = []
    # Whether the file can be read is found out when it is; so far this is what it looks like.
    with suppress(ImportUnreadable):
        widths.extend(len(cells) for _, cells in islice(_records(text, delimiter), _LOOKED_AT))
    if not widths or widths[0] == 1:
        return 0, 0
    return widths.count(widths[0]), widths[0]


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the line where it ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ImportUnreadable(f"Line {reader.line_num}: {_said(error)}.") from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _said(error: csv.Error) -> str:
    text = str(error)
    if "field larger" in text:
        return "a cell has no end: is a closing quote missing"
    if "unexpected end" in text:
        return "a quote was opened and never closed"
    if "expected after" in text:
        return 'something stands behind a closing quote; a quote inside a cell is written twice, ""'
    return text


def _columns(cells: Sequence[str]) -> list[str]:
    """The names of the columns, each once; one without a name is called by its place."""
    if not cells:
        raise ImportUnreadable("The file is empty: its first line names the columns.")
    if len(cells) > _COLUMNS_MAX:
        raise ImportUnreadable(f"The first line names more than {_COLUMNS_MAX} columns.")
    seen: Counter[str] = Counter()
    columns = []
    for place, cell in enumerate(cells, start=1):
        column = _cleaned(cell).strip()[:_HEADER_MAX] or f"Column {place}"
        seen[column] += 1
        columns.append(column if seen[column] == 1 else f"{column} ({seen[column]})")
    if len(set(columns)) < len(columns):
        raise ImportUnreadable("Two columns have the same name.")
    return columns


def _rows(records: Iterator[tuple[int, list[str]]], width: int) -> list[FileRow]:
    rows: list[FileRow] = []
    for line, cells in records:
        if len(rows) >= settings.IMPORT_MAX_ROWS:
            raise ImportTooLarge(f"A file has at most {settings.IMPORT_MAX_ROWS:,} rows.")
        rows.append(_row(line, cells, width))
    if not rows:
        raise ImportUnreadable("There is no row beneath the line that names the columns.")
    return rows


def _row(line: int, cells: list[str], width: int) -> FileRow:
    kept = [_cleaned(cell)[:CELL_MAX] for cell in cells[:width]]
    return FileRow(line=line, cells=kept + [""] * (width - len(kept)), fault=_fault(cells, width))


def _fault(cells: Sequence[str], width: int) -> str:
    if any("\x00" in cell for cell in cells):
        return "Holds a NUL character."
    if any(len(cell) > CELL_MAX for cell in cells):
        return f"Has a cell of more than {CELL_MAX:,} characters."
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        return f"Has {len(cells)} cells, where the first line names {width} columns."
    return ""


def _cleaned(text: str) -> str:
    return text.replace("\x00", _NUL_SHOWN)


def _shown_name(name: str) -> str:
    """What a person called the file; a path before it, and what cannot be printed, is left out."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter for letter in last if letter.isprintable())[:255] or "import.csv"
