"""What a CSV file of customers says: its columns, its rows, and the cells that are no formulas."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.serializers import normalised_email

MOST_BYTES = 5 * 1024 * 1024
MOST_ROWS = 50_000
LONGEST_CELL = 20_000
COLUMNS = {
    "email": "email",
    "billingemail": "billingEmail",
    "name": "name",
    "externalid": "externalId",
    "metadata": "metadata",
}
# Columns of an exported file that say nothing to an import.
PASSED_OVER = frozenset({"id", "createdat", "updatedat"})
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a file: its number as editors count, its values, and what is wrong with it already."""

    number: int
    values: dict[str, Any]
    problem: tuple[str, str] | None = None


def text_of(raw: bytes) -> str:
    """Return a file's text. Raises `ValidationFailed` for one that is too large or not UTF-8."""
    if len(raw) > MOST_BYTES:
        raise refused("The file is larger than 5 MiB. Split it.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise refused("The file is not UTF-8. Save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise refused("The file holds NUL bytes, so it is no CSV file.")
    return text


def rows_of(text: str) -> list[Row]:
    """Return the file's rows. Raises `ValidationFailed` for a file whose header or size cannot be taken.

    What is wrong with a single row is told with the row, so that the others can go in.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        names = _columns(next(reader, []))
        rows = [_row(reader.line_num, names, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as fault:
        raise refused(f"Line {reader.line_num} is no CSV: {fault}.") from None
    if not rows:
        raise refused("The file has no row below its header.")
    if len(rows) > MOST_ROWS:
        raise refused(f"The file has more than {MOST_ROWS:,} rows. Split it.")
    return _marked_repeats(rows)


def safe_cell(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe goes before what could be one."""
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value


def plain_cell(cell: str) -> str:
    """Return what a cell says, without the apostrophe of `safe_cell`."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def refused(sentence: str) -> ValidationFailed:
    """Return the refusal of a whole file."""
    return ValidationFailed(fields={"file": [sentence]})


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _columns(header: list[str]) -> list[str | None]:
    spelt = [name.strip().lower().replace("_", "").replace(" ", "") for name in header]
    unknown = [name for name, plain in zip(header, spelt, strict=True) if plain not in {*COLUMNS, *PASSED_OVER}]
    if unknown:
        known = ", ".join(COLUMNS.values())
        raise refused(f"The column “{unknown[0][:60]}” is not known. Columns are {known}.")
    if "email" not in spelt:
        raise refused("There is no column “email”. The first line names the columns.")
    if len(set(spelt)) != len(spelt):
        raise refused("A column comes twice.")
    return [COLUMNS.get(name) for name in spelt]


def _row(number: int, names: list[str | None], cells: list[str]) -> Row:
    if len(cells) > len(names):
        return Row(number, {}, ("", f"The row has {len(cells)} cells and the header {len(names)}."))
    values: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        said = plain_cell(cell.strip())
        if name is None or not said:
            continue
        if len(said) > LONGEST_CELL:
            return Row(number, {}, (name, "The cell is too long."))
        values[name] = said
    if "metadata" in values:
        try:
            values["metadata"] = json.loads(values["metadata"])
        except (ValueError, RecursionError):
            return Row(number, values, ("metadata", 'Must be a JSON object, such as {"plan": "gold"}.'))
    return Row(number, values)


def _marked_repeats(rows: list[Row]) -> list[Row]:
    """Mark each row whose address came in an earlier one."""
    first: dict[str, int] = {}
    marked = []
    for row in rows:
        address = normalised_email(str(row.values.get("email", "")))
        before = first.setdefault(address, row.number) if address else row.number
        repeat = row.problem is None and before != row.number
        marked.append(Row(row.number, row.values, ("email", f"Line {before} has the same address.")) if repeat else row)
    return marked
