"""Tables: CSV and its kin, and Parquet, by Arrow."""

import csv
import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet
import pyarrow.types as kinds

from studiolo.contract.sizes import describe_size
from studiolo.files.previews import bounds
from studiolo.files.previews.cleaning import text
from studiolo.files.previews.page import document, notice

_TAB = "\t"
_SEPARATORS = (",", ";", _TAB, "|")


def render_separated(head: bytes, size: int, name: str) -> str:
    """Return the document of a CSV or TSV file; `head`: what was read of its `size` bytes."""
    whole = len(head) >= size
    if not whole:
        # A row that was cut in the middle is not shown.
        head = head[: head.rfind(b"\n") + 1] or head
    separator = _TAB if name.lower().endswith((".tsv", ".tab")) else _separator(head)
    try:
        table, skipped = _first_rows(head, separator)
    except (pa.ArrowInvalid, StopIteration) as exc:
        return _broken("table", size, str(exc))
    rows = _count(head, separator) if whole and size <= bounds.MAX_COUNTED else None
    notes = (f"{skipped} rows have another number of columns than the first and are left out.",) if skipped else ()
    return _document(table, rows, table.num_columns, size, notes)


def render_parquet(file: io.BufferedIOBase, size: int) -> str:
    """Return the document of a Parquet file; only what the first rows need is read."""
    try:
        opened = parquet.ParquetFile(file, memory_map=False, pre_buffer=False)
        schema = opened.schema_arrow
        names = [field.name for field in schema][: bounds.COLUMNS]
        batches = opened.iter_batches(bounds.ROWS, columns=names, use_threads=False)
        first = next(batches, None)
        table = pa.Table.from_batches(
            [first] if first is not None else [], schema=None if first is not None else schema
        )
        return _document(table, opened.metadata.num_rows, len(schema), size, ())
    except (pa.ArrowException, OSError) as exc:
        return _broken("Parquet file", size, str(exc))


def _first_rows(head: bytes, separator: str) -> tuple[pa.Table, int]:
    skipped = 0

    def skip(_: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    reader = arrow_csv.open_csv(
        io.BytesIO(_as_utf8(head)),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=max(len(head), 1024)),
        parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=skip),
    )
    batch = next(iter(reader), None)
    table = pa.Table.from_batches([] if batch is None else [batch], schema=reader.schema)
    return table.slice(0, bounds.ROWS), skipped


def _as_utf8(head: bytes) -> bytes:
    try:
        head.decode()
    except UnicodeDecodeError:
        return head.decode("latin-1").encode()
    return head


def _separator(head: bytes) -> str:
    """Return what the first line has most of: the names of columns hold signs less often than values do."""
    first = head.partition(b"\n")[0].decode("latin-1")
    return max(_SEPARATORS, key=first.count)


def _count(content: bytes, separator: str) -> int | None:
    reader = csv.reader(io.StringIO(content.decode("latin-1"), newline=""), delimiter=separator)
    try:
        return max(0, sum(1 for row in reader if row) - 1)
    except csv.Error:
        return None


def _document(table: pa.Table, rows: int | None, columns: int, size: int, notes: tuple[str, ...]) -> str:
    shown = table.num_rows
    if rows is None:
        counted = f"first {shown} rows"
    else:
        counted = ("1 row" if rows == 1 else f"{rows:,} rows") if shown >= rows else f"first {shown} of {rows:,} rows"
    if columns > bounds.COLUMNS:
        table = table.select(list(range(bounds.COLUMNS)))
        notes = (*notes, f"The first {bounds.COLUMNS} of {columns:,} columns are shown.")
    return document(_grid(table), facts=(counted, f"{columns:,} columns", describe_size(size)), notes=notes)


def _grid(table: pa.Table) -> str:
    classes = ["number" if _is_number(field.type) else "" for field in table.schema]
    heads = "".join(
        f'<th class="{kind}">{text(field.name)}<span class="type">{text(_clipped(field.type))}</span></th>'
        for field, kind in zip(table.schema, classes, strict=True)
    )
    columns = [table.column(index).to_pylist() for index in range(table.num_columns)]
    rows = "".join(_row(number, row, classes) for number, row in enumerate(zip(*columns, strict=True), 1))
    head = f"<thead><tr><th></th>{heads}</tr></thead>"
    return f'<div class="scroll"><table class="grid">{head}<tbody>{rows}</tbody></table></div>'


def _row(number: int, row: Iterable[object], classes: list[str]) -> str:
    cells = "".join(_cell(value, kind) for value, kind in zip(row, classes, strict=True))
    return f"<tr><td>{number}</td>{cells}</tr>"


def _cell(value: object, kind: str) -> str:
    if value is None:
        return '<td class="none">none</td>'
    return f'<td class="{kind}">{text(_clipped(value))}</td>'


def _clipped(value: object) -> str:
    said = str(value)
    return said if len(said) <= bounds.VALUE_CHARACTERS else f"{said[: bounds.VALUE_CHARACTERS]}…"


def _is_number(kind: pa.DataType) -> bool:
    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _broken(what: str, size: int, why: str) -> str:
    first = why.splitlines()[0][:300] if why else "it is empty"
    return notice(f"This {what} cannot be read.", f"What its reader says: {first}", facts=(describe_size(size),))
