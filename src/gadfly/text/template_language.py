"""The language of chat templates: which methods, filters and functions there are, and what their results can weigh.

It is what the templates of published models use, and not much more: every name that is missing here is one that a
hostile template cannot use. How use is charged for is decided in `gadfly.text.sandbox`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn

from jinja2.ext import Extension
from jinja2.filters import FILTERS as ALL_FILTERS
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.runtime import LoopContext
from jinja2.sandbox import safe_range
from jinja2.tests import TESTS as ALL_TESTS
from jinja2.utils import Cycler, Joiner, Namespace

from gadfly.errors import TemplateError

__all__ = ["FILTERS", "GLOBALS", "GROWTH", "ITEM", "LOOKS_ONLY", "METHODS", "TESTS", "Generation"]

ITEM = 8  # what an element of a list weighs; the unit is a character
LONGEST_FORMAT = 256  # characters, of a date

METHODS: Mapping[type, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        str: "capitalize count endswith find index isalnum isalpha isdecimal isdigit islower isnumeric isspace istitle"
        " isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip"
        " split splitlines startswith strip swapcase title upper",
        dict: "get items keys values",
        list: "count index",
        tuple: "count index",
        LoopContext: "changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0",
        Cycler: "current next reset",
    }.items()
}

_FILTERS = (
    "abs capitalize count d default dictsort e escape first float indent int items join last length list lower map max"
    " min reject rejectattr replace reverse safe select selectattr sort string title trim unique upper"
)
FILTERS: Mapping[str, Callable[..., Any]] = {name: dict[str, Any](ALL_FILTERS)[name] for name in _FILTERS.split()}
TESTS: Mapping[str, Callable[..., Any]] = dict[str, Any](ALL_TESTS)

# Filters that do not go into what is inside of the elements of their value.
_LOOKS_ONLY = "count d default first items last length list map reject rejectattr reverse select selectattr"
LOOKS_ONLY = frozenset(_LOOKS_ONLY.split())


def _indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> int:  # noqa: ARG001
    return (1 + len(str(s).splitlines())) * (len(width) if isinstance(width, str) else max(width, 0))


def _split(text: str, *_: Any, **__: Any) -> int:
    return ITEM * len(text)


def _search(text: str, sought: str | None = None, *_: Any, **__: Any) -> int:
    return len(text) * len(sought or " ") // 8


def _split_backwards(text: str, sep: str | None = None, maxsplit: int = -1) -> int:  # noqa: ARG001
    return _split(text) + _search(text, sep)


# What filters and methods can take beyond their arguments: a result that is longer, or a time that is. (Searching
# backwards and stripping take a time like the product of two lengths.) Parameters have the names of the originals.
GROWTH: Mapping[str, Callable[..., int]] = {
    "filter indent": _indent,
    "filter join": lambda value, d="", attribute=None: len(value) * len(str(d)),  # noqa: ARG005
    "filter list": lambda value: ITEM * len(value),
    "filter replace": lambda s, old, new, count=None: (1 + str(s).count(str(old))) * len(str(new)),  # noqa: ARG005
    "filter title": lambda s: ITEM * len(str(s)),
    "filter trim": lambda value, chars=None: _search(str(value), chars),
    "method join": lambda between, items: len(items) * len(between),
    "method lstrip": _search,
    "method replace": lambda text, old, new, count=-1: (1 + text.count(old)) * len(new),  # noqa: ARG005
    "method rfind": _search,
    "method rindex": _search,
    "method rpartition": _search,
    "method rsplit": _split_backwards,
    "method rstrip": _search,
    "method split": _split,
    "method splitlines": _split,
    "method strip": _search,
}


class Generation(Extension):
    """`{% generation %}`, by which training marks what the model says; here its content is all that matters."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


class Record(Namespace):
    """A namespace that can be printed without what is in it."""

    def __repr__(self) -> str:
        return "<namespace>"


def _raise_exception(message: Any) -> NoReturn:
    raise TemplateError(f"the chat template refuses the conversation: {' '.join(str(message).split())[:500]}")


def _strftime_now(format: str) -> str:  # noqa: A002
    if len(format) > LONGEST_FORMAT:
        raise TemplateError(f"the chat template formats a date with more than {LONGEST_FORMAT} characters")
    return datetime.now().strftime(format)


GLOBALS: Mapping[str, Callable[..., Any]] = {
    "cycler": Cycler,
    "dict": dict,
    "joiner": Joiner,
    "namespace": Record,
    "raise_exception": _raise_exception,
    "range": safe_range,
    "strftime_now": _strftime_now,
}
