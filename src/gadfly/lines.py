"""Files of data, read as if an enemy had written them: JSON objects a line each, a JSON array, or a table with commas.

Whatever is wrong with a line is a `Problem` with its number, and the lines after it are read all the same. Lines and
tables are read in memory for one row, an array whole, up to a limit. A name that ends in .gz is unpacked on the way.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from gadfly.errors import NotFoundError, RequestError

__all__ = ["Problem", "Row", "kind_of", "line_of", "read_as", "read_lines", "read_rows", "read_text", "text_of"]

LONGEST_LINE = 4_000_000  # bytes
LARGEST_ARRAY = 1_000_000_000  # bytes
DEEPEST = 32  # so that whoever handles a row may do so recursively
UTF_8_MARK, UTF_16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
TABLES = {".csv": ",", ".tsv": "\t"}

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """An object, or a row of a table by the names in its head. `line` is where it begins, from 1."""

    line: int
    table: Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line of a file."""

    line: int
    text: str


def read_rows(path: Path) -> Iterator[Row | Problem]:
    """By the name of the file a table (.csv, .tsv), an array (.json) or else lines.

    An object in a .json file stands for the longest list of objects in it. Raises as `read_lines` does.
    """
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() in TABLES:
        return _table(path, TABLES[suffix.lower()])
    return _array(path) if suffix.lower() == ".json" else read_lines(path)


def read_lines(path: Path, advanced: Callable[[int], None] = lambda _: None) -> Iterator[Row | Problem]:
    """Objects of JSON, a line each; blank lines are skipped. `advanced` hears the bytes of each line.

    Raises NotFoundError if there is no such file, RequestError if it cannot be read at all.
    """
    for number, line in _lines(path):
        if isinstance(line, Problem):
            yield line
            continue
        advanced(len(line))
        if line.strip():
            yield _row(number, line)


def read_as(path: Path, made: Callable[[Row], T | Problem]) -> Iterator[T | Problem]:
    """What `made` makes of each line, in memory for one line. Raises as `read_lines` does."""
    for found in read_lines(path):
        yield made(found) if isinstance(found, Row) else found


def read_text(path: Path, most: int = LARGEST_ARRAY) -> str:
    """The whole of a text in UTF-8. Raises NotFoundError, or RequestError with the line if it is something else."""
    text = text_of(path, most)
    if isinstance(text, Problem):
        raise RequestError(f"{path}:{text.line}: {text.text}")
    return text


def text_of(path: Path, most: int = LARGEST_ARRAY) -> str | Problem:
    """The same, for whoever goes on without it. Raises NotFoundError or RequestError if it cannot be read at all."""
    with _opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        return Problem(1, f"begins a text that is longer than {most} bytes; split it")
    data = data.removeprefix(UTF_8_MARK)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return Problem(data.count(b"\n", 0, error.start) + 1, _not_utf_8(data, error))


def line_of(table: Mapping[str, Any]) -> bytes:
    """An object as a line."""
    try:
        return (json.dumps(table, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # half a character, which JSON can only spell out
        return (json.dumps(table) + "\n").encode()


def kind_of(value: Any) -> str:
    """What was found instead of what was expected, for people."""
    match value:
        case None:
            return "missing"
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
        case str():
            return "text"
    return repr(value)[:40]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device might never end
            raise RequestError(f"{path} is not a file; give the path of one")
        with path.open("rb") as raw:
            if path.suffix.lower() != ".gz":
                yield raw
                return
            with gzip.open(raw) as unpacked:
                yield cast(BinaryIO, unpacked)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RequestError(f"{path} is damaged: {error}; fetch it again") from error
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes | Problem]]:
    with _opened(path) as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE)):
                    pass
                yield number, Problem(number, f"is longer than {LONGEST_LINE} bytes")
            else:
                yield number, line.removeprefix(UTF_8_MARK) if number == 1 else line


def _row(number: int, line: bytes) -> Row | Problem:
    try:
        table = json.loads(line.decode())
    except UnicodeDecodeError as error:
        return Problem(number, _not_utf_8(line, error))
    except json.JSONDecodeError as error:
        return Problem(number, f"is not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Problem(number, "is nested too deeply")
    except ValueError:  # a number of thousands of digits
        return Problem(number, "has a number in it that is too long")
    return _of(number, table)


def _of(number: int, table: Any) -> Row | Problem:
    if not isinstance(table, dict):
        return Problem(number, f"is {kind_of(table)}; expected an object")
    return Problem(number, "is nested too deeply") if _deeper(table, DEEPEST) else Row(number, table)


def _deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects lie more than so many levels deep in it."""
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


def _not_utf_8(data: bytes, error: UnicodeDecodeError) -> str:
    if data.startswith(UTF_16_MARKS):
        return "is UTF-16; save the file as UTF-8"
    return f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}"


def _array(path: Path) -> Iterator[Row | Problem]:
    """Item by item, so that those before the first damage are read."""
    text = read_text(path)
    decoder, position, line, seen = json.JSONDecoder(), len(text) - len(text.lstrip()), 1, 0
    try:
        if text[position : position + 1] == "{":
            lists = [found for found in decoder.raw_decode(text, position)[0].values() if isinstance(found, list)]
            for item in max(lists, key=len, default=[]):
                yield _of(1, item)
            return
        if text[position : position + 1] != "[":
            yield Problem(1, "is no array of objects")
            return
        position += 1
        while True:
            while text[position : position + 1] in (" ", "\n", "\r", "\t", ","):
                position += 1
            if text[position : position + 1] == "]":
                return
            line, seen = line + text.count("\n", seen, position), position
            item, position = decoder.raw_decode(text, position)
            yield _of(line, item)
    except json.JSONDecodeError as error:
        yield Problem(error.lineno, f"is not JSON: {error.msg} at character {error.colno}; nothing after it is read")
    except RecursionError:
        yield Problem(line, "is nested too deeply; nothing after it is read")
    except ValueError:
        yield Problem(line, "has a number in it that is too long; nothing after it is read")


def _table(path: Path, delimiter: str) -> Iterator[Row | Problem]:
    """Rows by the names in the first. One of another length, or in another encoding, is a problem."""
    damaged: list[Problem] = []

    def texts() -> Iterator[str]:
        for number, line in _lines(path):
            try:
                if isinstance(line, Problem):
                    damaged.append(line)
                else:
                    yield line.decode()
            except UnicodeDecodeError as error:
                damaged.append(Problem(number, _not_utf_8(line, error)))  # type: ignore[arg-type]

    reader = csv.reader(texts(), delimiter=delimiter)
    head: list[str] | None = None
    lost = 0
    while True:
        before, values, wrong = reader.line_num, None, ""
        try:
            values = next(reader, None)
        except csv.Error as error:
            wrong = str(error)
        yield from damaged[:]
        lost += len(damaged)
        damaged.clear()
        line = before + lost + 1
        if wrong:
            yield Problem(line, f"is no row of a table: {wrong}")
            continue
        if values is None:
            return
        if head is None:
            head = [name.strip() for name in values]
        elif len(values) == len(head):
            yield Row(line, dict(zip(head, values, strict=True)))
        elif values:
            yield Problem(line, f"has {len(values)} values; expected {len(head)}, as in the first line")
