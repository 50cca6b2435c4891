"""Where chat templates run: what a template can reach, and how much it may do.

A template is a program out of a stranger's file. It runs in jinja2's immutable sandbox, with less in it: only methods
and filters that chat templates use, nothing that loads, nothing lazy. Steps are counted, values are weighed before
anything is made from them, and after so much work the template is stopped: at the same point on every machine, be it
in a loop, in a macro that calls itself or in front of a huge string.
What there is to use is listed in `gadfly.text.template_language`; how steps get here, in `gadfly.text.metering`.
"""

import json
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import wraps
from types import CodeType
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from gadfly.errors import TemplateError
from gadfly.text.metering import metered
from gadfly.text.template_language import FILTERS, GLOBALS, GROWTH, ITEM, LOOKS_ONLY, METHODS, TESTS, Generation

__all__ = ["Sandbox"]

STEP = 32  # what a turn of a loop, a call or an operator costs; the unit is a character that is copied
DEEPEST = 64  # values inside values; functions written in C overflow their stack on much deeper ones
LARGEST_NUMBER = 2**14  # bits


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment for a rendering (or compilation) at a time, which may do `work` units of work; then TemplateError.

    Set up as Hugging Face does it: trim_blocks, lstrip_blocks, loop controls, `raise_exception`, `strftime_now` and a
    `tojson` that leaves characters alone.
    """

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self, work: int) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, Generation],
            finalize=self.weighed,
            cache_size=0,
            optimized=False,
        )
        self._work = self._left = work
        self.filters = {name: self._metered(f"filter {name}", function) for name, function in FILTERS.items()}
        self.filters["tojson"] = self._json
        self.tests = {name: self._metered(f"test {name}", function) for name, function in TESTS.items()}
        self.globals = dict(GLOBALS)

    def compiled(self, source: str) -> CodeType:
        """The code of a template, to be run in another sandbox. Raises jinja2's TemplateSyntaxError and others."""
        return self.compile(metered(self.parse(source), self))

    def restart(self) -> None:
        """Another rendering begins, with all the work that one may do."""
        self._left = self._work

    def spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TemplateError(f"the chat template does too much: more than {self._work} units of work")

    def ticking(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values, each of which costs a step."""
        for value in values:
            self.spend(STEP)
            yield value

    def weighed(self, value: Any) -> Any:
        """The same value, charged for all that is in it, as often as it is in it."""
        if isinstance(value, str):
            self.spend(len(value))
            return value
        level = [value]
        for _ in range(DEEPEST):
            below: list[Any] = []
            for item in level:
                if isinstance(item, str):
                    self.spend(len(item))
                elif isinstance(item, Mapping):
                    self.spend(2 * ITEM * len(item))
                    below.extend(item)
                    below.extend(item.values())
                elif isinstance(item, list | tuple):
                    self.spend(ITEM * len(item))
                    below.extend(item)
                elif isinstance(item, range):
                    self.spend(ITEM * len(item))
            if not below:
                return value
            level = below
        raise TemplateError(f"the chat template nests values more than {DEEPEST} deep")

    def made(self, value: Any) -> Any:
        """A result, charged for itself but not for what it refers to. What is lazy is worked off at once."""
        if isinstance(value, Iterator | KeysView | ValuesView | ItemsView):
            value = list(self.ticking(value))
        if isinstance(value, str):
            self.spend(len(value))
        elif isinstance(value, list | tuple | dict):
            self.spend(ITEM * (8 + len(value)))
        elif isinstance(value, int) and value.bit_length() > LARGEST_NUMBER:
            raise TemplateError(f"the chat template makes a number of more than {LARGEST_NUMBER} bits")
        return value

    def joined(self, values: Sequence[Any]) -> str:
        """The operator `~`."""
        return "".join([str(self.weighed(value)) for value in values])

    def sliced(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        return self.made(value[start:stop:step])

    def concat(self, parts: Iterable[str]) -> str:
        """How jinja2 puts together what a template, a macro or a block writes."""
        return "".join([self.made(part) for part in parts])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self.spend(STEP)
        numbers = isinstance(left, int) and isinstance(right, int)
        if numbers:
            bits = left.bit_length() * max(right, 1) if operator == "**" else left.bit_length() + right.bit_length()
            if bits > LARGEST_NUMBER:
                raise TemplateError(f"the chat template makes a number of more than {LARGEST_NUMBER} bits")
        elif operator == "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(value, str | list | tuple) and isinstance(times, int):
                    self.spend((1 if isinstance(value, str) else ITEM) * len(value) * max(times, 0))
        elif operator == "%" and isinstance(left, str):
            raise TemplateError("the chat template formats a string with %, which is not supported")
        elif operator == "+":
            self.made(left)
            self.made(right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(called, "__self__", None)
        if owner is self:
            return called(*args)  # one of the methods that metering has put in
        self.spend(STEP)
        if isinstance(called, LoopContext):
            args = tuple(self.ticking(values) for values in args)
        elif not isinstance(called, Macro | BlockReference):
            values = (*args, *(value for name, value in kwargs.items() if not name.startswith("_")))
            if isinstance(owner, str | list | tuple):
                values = (owner, *values)
            self.weighed(values)
            if growth := isinstance(owner, str) and GROWTH.get(f"method {called.__name__}"):
                self.spend(growth(*values))
        return self.made(super().call(context, called, *args, **kwargs))

    def getattr(self, obj: Any, attribute: str) -> Any:
        self.spend(STEP)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        self.spend(STEP)
        self.weighed(argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002
        if isinstance(obj, Namespace | TemplateReference):
            return not attr.startswith("_")
        return any(attr in names for kind, names in METHODS.items() if isinstance(obj, kind))

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        raise SecurityError(f"it reaches for the attribute {attribute[:40]!r} of {type(obj).__name__}")

    def wrap_str_format(self, value: Any) -> None:
        """`format` is not among the methods."""

    def _metered(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter or a test that is charged for its arguments and its result."""
        skipped = 1 if hasattr(function, "jinja_pass_arg") else 0
        first = skipped + (name.removeprefix("filter ") in LOOKS_ONLY)
        growth = GROWTH.get(name)

        @wraps(function)
        def metered(*args: Any, **kwargs: Any) -> Any:
            self.spend(STEP)
            self.weighed([*args[first:], *kwargs.values()])
            if growth:
                self.spend(growth(*args[skipped:], **kwargs))
            return self.made(function(*args, **kwargs))

        return metered

    def _json(
        self,
        value: Any,
        ensure_ascii: bool = False,
        indent: int | str | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        self.weighed(value)
        if indent is not None and not (len(indent) if isinstance(indent, str) else indent) <= 16:
            raise TemplateError("the chat template indents JSON by more than 16 characters")
        encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
        return self.concat(encoder.iterencode(value))
