"""Conversations as tokens: the marks of the template become control tokens, what people have written never does.

A template writes marks and messages into one text, in which `<|im_end|>` out of a message looks like the template's
own. So before rendering, a character of every control token that a message spells out is exchanged for one that occurs
nowhere; when the text has been split at its control tokens it is changed back. A template may also cut and join
messages, and so put together a token from parts that are none. A second rendering, in which no bracket or the like in
a message can begin or end a control token, shows whether it did; then the second is used, although a template that
looks into its messages may have understood them less well there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gadfly.errors import RequestError
from gadfly.text.template import ChatTemplate, plain
from gadfly.text.tokenizer import Tokenizer

__all__ = ["encode_chat"]

CANDIDATES = range(0x10FFFD, 0xDFFF, -1)  # code points that Unicode leaves to programs come first


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    add_generation_prompt: bool = True,
    marks: str = "",
    prefix: str = "",
    /,
    **variables: Any,
) -> list[int]:
    """Ids of a conversation. `variables` reach the template, as in `ChatTemplate.render`, whose errors this raises.

    Behind what the template writes come `marks`, like its own, and then `prefix`, with which the answer begins. If
    nobody has written a control token they are the ids of `encode(render(…), special=True)`. User-defined tokens are
    text like any other. Roles are taken to be chosen by the program: a template may make marks of them.
    """
    controls = tokenizer.controls
    values = {"messages": plain(messages, "messages")} | {name: plain(value, name) for name, value in variables.items()}
    given = [values, prefix]
    ends = {end for token in controls for end in (token[0], token[-1])}
    stand_ins = _stand_ins(ends, [template.source, *given])
    hidden = {ord(c): stand_in for c, stand_in in stand_ins.items() if not c.isalnum()}
    shown = {ord(stand_in): c for c, stand_in in stand_ins.items()}

    def hide_tokens(text: str) -> str:
        starts = set(controls.starts(text))
        return "".join([stand_ins[c] if i in starts else c for i, c in enumerate(text)]) if starts else text

    def hide_ends(text: str) -> str:
        return hide_tokens(text).translate(hidden)

    def runs(values: dict[str, Any], begun: str) -> list[str | int]:
        text = template.render(add_generation_prompt=add_generation_prompt, **values)
        return list(controls.split(text + marks + begun))

    faithful, careful = _changed(given, hide_tokens), _changed(given, hide_ends)
    for message, same in zip(careful[0]["messages"], faithful[0]["messages"], strict=True):
        if isinstance(message, dict) and "role" in message:
            message["role"] = same["role"]
    chosen = runs(*faithful)
    if careful != faithful and _ids(safe := runs(*careful)) != _ids(chosen):
        chosen = safe
    ids: list[int] = []
    for run in chosen:
        ids += [run] if isinstance(run, int) else tokenizer.encode(run.translate(shown))
    return ids


def _ids(runs: Sequence[str | int]) -> list[int]:
    return [run for run in runs if isinstance(run, int)]


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Every text in a plain value changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed(item, change) for item in value]
    if isinstance(value, dict):
        return {_changed(key, change): _changed(item, change) for key, item in value.items()}
    return value


def _stand_ins(characters: set[str], values: Any) -> dict[str, str]:
    """For each character one that does not occur in the values."""
    used: set[str] = set()

    def note(text: str) -> str:
        used.update(text)
        return text

    _changed(values, note)
    free = (chr(code) for code in CANDIDATES if chr(code) not in used)
    stand_ins = dict(zip(sorted(characters), free, strict=False))
    if len(stand_ins) < len(characters):
        raise RequestError("the messages contain every character there is; leave one out")
    return stand_ins
