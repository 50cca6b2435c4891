"""How models were taught to call tools, as data. Which of it a model speaks is read from its template, not its name.

    hermes     <tool_call>{"name": …, "arguments": …}</tool_call>, once for every call; Qwen and many others
    llama      {"name": …, "parameters": …} and nothing else, behind <|python_tag|> or not; several with ; between
    mistral    [TOOL_CALLS][{"name": …, "arguments": …}, …] or, later, [TOOL_CALLS]name[ARGS]{…}
    any        all of these are understood; hermes is what such a model is told to write

Reading them: `gadfly.text.tool_calls`. Telling a model about tools: `gadfly.text.tool_prompt`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

__all__ = ["ANY", "HERMES", "LLAMA", "MISTRAL", "ToolDialect", "tool_dialect"]


@dataclass(frozen=True)
class ToolDialect:
    """`marks` begin a call and map to what ends it, or to nothing. `bare`: a call may stand without one.

    Calls are written as `first`, then each as `before`, the name as a JSON string, `between`, the arguments as JSON and
    `after`, with `separator` between two, then `last`.
    """

    marks: Mapping[str, str]
    bare: bool
    before: str
    between: str
    after: str
    first: str = ""
    separator: str = ""
    last: str = ""


HERMES = ToolDialect(
    marks={"<tool_call>": "</tool_call>"},
    bare=False,
    before='<tool_call>\n{"name": ',
    between=', "arguments": ',
    after="}\n</tool_call>",
    separator="\n",
)
LLAMA = ToolDialect(
    marks={"<|python_tag|>": "", "<function=": "</function>"},
    bare=True,
    before='{"name": ',
    between=', "parameters": ',
    after="}",
    separator="; ",
)
MISTRAL = ToolDialect(
    marks={"[TOOL_CALLS]": ""},
    bare=False,
    first="[TOOL_CALLS][",
    before='{"name": ',
    between=', "arguments": ',
    after="}",
    separator=", ",
    last="]",
)
ANY = replace(HERMES, marks={**HERMES.marks, **LLAMA.marks, **MISTRAL.marks}, bare=True)


def tool_dialect(source: str, controls: frozenset[str]) -> ToolDialect:
    """Of a model with this template and these control tokens; `source` is empty if it has no template."""
    for dialect in (HERMES, MISTRAL, LLAMA):
        if any(mark in source for mark in dialect.marks):
            return dialect
    if "[TOOL_CALLS]" in controls:
        return MISTRAL
    if "<|python_tag|>" in controls and "parameters" in source:
        return LLAMA
    return ANY
