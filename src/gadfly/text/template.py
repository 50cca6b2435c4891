"""Chat templates: how a conversation is written for the model it is meant for.

A template comes with the model, in the language of jinja2 as Hugging Face sets it up. What it may do is decided in
`gadfly.text.sandbox`; how what it writes becomes tokens, so that no message can pass for the template's own marks, in
`gadfly.text.prompt`.
Source: transformers, "Chat templates"; the variables are those of `apply_chat_template`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jinja2
from jinja2 import meta

from gadfly.errors import GadflyError, RequestError, TemplateError
from gadfly.text.sandbox import Sandbox

__all__ = ["ChatTemplate", "plain"]

LONGEST_SOURCE = 2**17  # characters; the longest in use have a quarter of that
LONGEST_OUTPUT = 2**23  # characters
DEEPEST_INPUT = 32
WORK = 2**25  # characters copied; every step counts as 32 of them

T = TypeVar("T")


class ChatTemplate:
    """A compiled template. `bos` and `eos` are the texts of the tokens that begin and end a text.

    `source` has to be jinja2; `work` limits what one rendering may do. Raises TemplateError. Safe to use from several
    threads.
    """

    def __init__(self, source: str, bos: str = "", eos: str = "", work: int = WORK) -> None:
        if len(source) > LONGEST_SOURCE:
            raise TemplateError(f"the chat template has {len(source)} characters; at most {LONGEST_SOURCE} are read")
        self.source = source
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._work = work
        self._code = _attempt(lambda: Sandbox(work).compiled(source))
        self._idle: list[tuple[Sandbox, jinja2.Template]] = []  # as many as have rendered at the same time
        names = _attempt(lambda: meta.find_undeclared_variables(Sandbox(work).parse(source)))
        self.knows_tools = "tools" in names  # otherwise they have to be described in words

    def render(
        self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True, **variables: Any
    ) -> str:
        """The text of a conversation. `variables` reach the template under their names, as tools=… or documents=….

        Raises RequestError if something is not made of lists, mappings, strings, numbers, truth values and None, and
        TemplateError if the template fails, refuses the conversation, does too much or reaches for too much.
        """
        values = {"tools": None, "documents": None, **self._tokens, **variables}
        values |= {"messages": messages, "add_generation_prompt": add_generation_prompt}
        given = {name: plain(value, name) for name, value in values.items()}
        sandbox, template = self._place()
        try:
            text = _attempt(lambda: sandbox.concat(template.root_render_func(template.new_context(given))))
        finally:
            self._idle.append((sandbox, template))
        if len(text) > LONGEST_OUTPUT:
            raise TemplateError(f"the chat template wrote {len(text)} characters; at most {LONGEST_OUTPUT} are taken")
        return text

    def _place(self) -> tuple[Sandbox, jinja2.Template]:
        """To render in; to be given back, as an environment and its parts know each other and would stay a while."""
        try:
            sandbox, template = self._idle.pop()
        except IndexError:
            sandbox = Sandbox(self._work)
            template = jinja2.Template.from_code(sandbox, self._code, sandbox.globals)
        sandbox.restart()
        return sandbox, template


def plain(value: Any, name: str, depth: int = 0) -> Any:
    """A copy made of dicts, lists, strings, numbers, truth values and None, which have no methods of their own."""
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > DEEPEST_INPUT:
        raise RequestError(f"{name} nests values more than {DEEPEST_INPUT} deep")
    if isinstance(value, Mapping):
        return {plain(key, name, depth + 1): plain(item, name, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(item, name, depth + 1) for item in value]
    raise RequestError(f"{name} holds a {type(value).__name__}; expected text, numbers, lists and objects")


def _attempt(step: Callable[[], T]) -> T:
    """Run what a template says; whatever goes wrong in it is the template's fault."""
    try:
        return step()
    except GadflyError:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"the chat template is wrong in line {error.lineno}: {_line(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError("the chat template nests or recurses too deeply") from error
    except Exception as error:
        raise TemplateError(f"the chat template failed: {_line(error) or type(error).__name__}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
