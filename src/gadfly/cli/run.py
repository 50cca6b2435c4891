"""gadfly run: one prompt, one answer, on stdout."""

import json
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gadfly.chat.persona import load_persona
from gadfly.chat.session import ANSWER_TOKENS, Chat
from gadfly.cli.answer import PlainScreen
from gadfly.cli.expert_map import map_lines, write_map
from gadfly.cli.loading import load_model
from gadfly.cli.options import answer_options, read_adapters, settings_from, speaking_options
from gadfly.cli.stats import stats_text
from gadfly.errors import RequestError

__all__ = ["command"]

PROMPT_LIMIT = 4_000_000  # characters


@click.command("run")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--raw", is_flag=True, help="Continue the text as it is, without template and persona.")
@click.option("--stats", is_flag=True, help="Tokens per second, on stderr.")
@click.option(
    "--expert-map",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.svg",
    help="Show on stderr which experts of a mixture the tokens went to, and draw it into a file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer and what it cost as JSON, once it is whole.")
@speaking_options
def command(
    model: str,
    prompt: str | None,
    raw: bool,
    stats: bool,
    expert_map: Path | None,
    as_json: bool,
    system: str | None,
    context: int | None,
    experts: str | None,
    adapters: Sequence[str],
    **flags: Any,
) -> None:
    """Answer one prompt on stdout.

    A model that was trained for conversations answers as the persona; any other continues the text, as all do with
    --raw. PROMPT comes from stdin if it is - or, in a pipe, absent.

    \b
    gadfly run smollm2 "Why is the sky blue?"
    gadfly run smollm2 --persona straight --temperature 0 "What is 2 + 2?"
    gadfly run smollm2 --adapter my-pirate=0.8 "Who are you?"
    gadfly run smollm2 --raw "Once upon a time" --max-tokens 64 --seed 7
    gadfly run ./mixture --expert-map use.svg "Once upon a time"
    git diff | gadfly run smollm2 --system "Write a commit message." | tee message
    """
    text = _prompt(prompt)
    settings = settings_from(flags, model)
    persona = load_persona(settings.persona)
    options = answer_options(flags)
    beside = read_adapters(adapters)
    if raw and beside is None:
        beside = {}  # those that come unasked speak for personas alone: off, and not worth a tenth of a second
    llm = load_model(settings.model, settings, context, experts, adapters=beside)
    if expert_map and llm.expert_use() is None:
        raise RequestError(f"{llm.path} has no experts, so there is nothing to draw; leave out --expert-map")
    screen = PlainScreen(notes=sys.stderr, named=False)

    def show(pieces: Iterable[str]) -> None:
        if as_json:
            deque(pieces, maxlen=0)
        else:
            screen.answer(settings.persona, pieces)

    facts: dict[str, object] = {"model": settings.model}
    if raw or not llm.has_template:
        generation = llm.stream(text, **{"max_tokens": ANSWER_TOKENS, **options})
        show(generation)
        completion = generation.completion
    else:
        chat = Chat(llm, persona, settings.wit, system=system, **options)
        show(chat.stream(text))
        reply = chat.turns[-1].reply
        assert reply is not None  # nobody else can cancel it
        completion = reply.completion
        facts |= {"persona": reply.persona, "wit": reply.wit}
    if as_json:
        facts |= {"text": completion.text, "finish_reason": completion.finish_reason, "usage": asdict(completion.usage)}
        click.echo(json.dumps(facts, indent=2))
    elif completion.finish_reason == "length" and flags["max_tokens"] is None:
        screen.note(f"(cut off after {completion.usage.completion_tokens} tokens: see --max-tokens)")
    if stats:
        screen.note(stats_text(completion.usage, llm.expert_use(), llm.reads()))
    if expert_map:
        use = llm.expert_use() or []
        write_map(use, expert_map, llm.path.name)
        screen.note("\n".join([*map_lines(use, shutil.get_terminal_size().columns), f"Drawn in {expert_map}."]))


def _prompt(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if sys.stdin is None or (given is None and sys.stdin.isatty()):
        raise click.UsageError("There is no prompt: write it after the model, or pipe it in.")
    text = sys.stdin.read(PROMPT_LIMIT + 1)
    if len(text) > PROMPT_LIMIT:
        raise RequestError(f"the prompt has more than {PROMPT_LIMIT} characters; no model here reads that much")
    return text.removesuffix("\n")
