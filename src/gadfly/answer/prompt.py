"""A conversation as the ids of a prompt, through the template of the model or as a transcript; and what is left out.

Tools reach a template that knows of them as transformers would hand them over, any other in words. A conversation that
outgrows the context loses its oldest exchanges, whole ones, if the request allows it. Who asks for what beyond the
prompt is not known here: see `gadfly.answer.answerer`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from gadfly.chat.persona import Persona
from gadfly.chat.window import first_in_steps
from gadfly.conversation import Message, Tool
from gadfly.errors import ContextError, RequestError, UnsupportedError
from gadfly.text import (
    ChatTemplate,
    Tokenizer,
    encode_chat,
    encode_transcript,
    in_words,
    template_message,
    template_tool,
)
from gadfly.weights.model_file import ModelFile

__all__ = ["Prompts", "fitting", "spoken"]

RESERVED = frozenset(("messages", "tools", "add_generation_prompt", "bos_token", "eos_token"))


class Prompts:
    """Writes prompts for a model of this `name`, which is called by it in errors only."""

    def __init__(self, name: str, tokenizer: Tokenizer | None, template: ChatTemplate | None) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.template = template

    @classmethod
    def of(cls, file: ModelFile) -> Self:
        """As the file says. Raises TemplateError if its chat template is damaged."""
        tokenizer = Tokenizer.from_file(file.tokenizer) if file.tokenizer else None
        source = file.metadata.get("tokenizer.chat_template")
        if tokenizer is None or not isinstance(source, str):
            return cls(file.path.name, tokenizer, None)
        bos, eos = ("" if token is None else tokenizer.token_text(token) for token in (tokenizer.bos, tokenizer.eos))
        return cls(file.path.name, tokenizer, ChatTemplate(source, bos, eos))

    def ids(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        variables: Mapping[str, Any] | None = None,
        marks: str = "",
        prefix: str = "",
    ) -> list[int]:
        """The conversation as the model was trained to see it, or as a transcript if it was not trained for any.

        Up to where its answer begins or, behind `marks` of the template's kind, to the end of its `prefix`. Text never
        becomes control tokens, nor a turn of its own. Raises UnsupportedError if the model has no tokenizer,
        RequestError for variables with names that templates rely on.
        """
        if self.tokenizer is None:
            raise UnsupportedError(
                f"{self.name} has no tokenizer, so it cannot be talked to; add the one it was made for"
            )
        if taken := sorted(RESERVED & set(variables or ())):
            raise RequestError(f"the template variable {taken[0]!r} is set by Gadfly itself; choose another name")
        if self.template is None or not self.template.knows_tools:
            messages, tools = in_words(messages, tools), ()
        if self.template is None:
            return encode_transcript(self.tokenizer, [(one.role, one.content) for one in messages], prefix)
        turns = [template_message(message) for message in messages]
        given = {"tools": [template_tool(tool) for tool in tools]} if tools else {}
        return encode_chat(self.tokenizer, self.template, turns, True, marks, prefix, **{**(variables or {}), **given})

    def answered_ids(self, messages: Sequence[Message]) -> list[int]:
        """The conversation up to the end of its last answer, as templates write those that go on.

        Raises UnsupportedError if the model has no tokenizer or no template, which alone knows how an answer ends.
        """
        if self.tokenizer is None or self.template is None:
            raise UnsupportedError(f"{self.name} has no chat template, so it cannot be shown how answers end")
        if not self.template.knows_tools:
            messages = in_words(messages, ())
        turns = [template_message(message) for message in messages]
        return encode_chat(self.tokenizer, self.template, turns, False)

    def text_ids(self, prompt: str | Sequence[int]) -> list[int]:
        """Text or ids as they are. Raises RequestError for text if the model has no tokenizer."""
        if not isinstance(prompt, str):
            return [int(token) for token in prompt]
        if self.tokenizer is None:
            raise RequestError(f"{self.name} has no tokenizer; give token ids instead of text")
        return self.tokenizer.encode(prompt, bos=self.tokenizer.adds_bos)


def spoken(persona: Persona, wit: float, messages: Sequence[Message]) -> list[Message]:
    """The conversation led by a persona: its prompt first, in one system message with the conversation's own."""
    system, *examples = persona.messages(wit)
    if messages and messages[0].role == "system":
        system = Message("system", f"{system.content}\n\n{messages[0].content}")
        messages = messages[1:]
    return [system, *examples, *messages]


def fitting(
    messages: Sequence[Message],
    write: Callable[[Sequence[Message]], list[int]],
    context: int,
    room: int,
    truncate: bool,
) -> tuple[list[int], int]:
    """The prompt that `write` makes of the messages, and how many of them had to be left out.

    A prompt has to leave one of the `context` tokens to the answer. If it does not, and `truncate` allows it, the
    oldest exchanges go, from a message of the user up to the next, so that it has at most `room` tokens; system
    messages in front stay, as does the last exchange. They go in steps of half the room that is left to them, so that
    most prompts of a chat begin as the one before. Raises ContextError if that does not help, or is not allowed.
    """
    ids = write(messages)
    if len(ids) < context and (not truncate or len(ids) <= room):
        return ids, 0
    head = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
    starts = [i for i, message in enumerate(messages) if message.role == "user" and i > head]
    if truncate and starts:
        starts = [head, *starts]

        def shown(first: int) -> list[int]:
            return write([*messages[:head], *messages[starts[first] :]])

        step = max(1, (room - len(write([*messages[:head], Message("user", "?")]))) // 2)
        first = first_in_steps(len(starts) - 1, lambda i: len(shown(i)), min(room, context - 1), step)
        start, ids = starts[first], shown(first)
        if len(ids) < context:
            return ids, start - head
    what = "the last exchange alone takes" if truncate else "the conversation takes"
    raise ContextError(
        f"{what} {len(ids)} tokens, but the context holds {context} and the answer needs at least one of them; shorten "
        f"it by {len(ids) - context + 1} tokens or choose a larger context"
    )
