"""The flags that every command which lets a model speak has in common."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from gadfly.settings import Settings, load_settings

__all__ = ["adapter_option", "answer_options", "read_adapters", "settings_from", "speaking_options"]

F = TypeVar("F", bound=Callable[..., Any])

adapter_option = click.option(
    "--adapter",
    "adapters",
    multiple=True,
    metavar="ADAPTER[=STRENGTH]",
    help="An adapter beside the model, by name or path, from 0 to 2; repeatable. none: not even our own.",
)

_OPTIONS = (
    click.option("--persona", help="Who answers: gadfly, straight or one of your own. Default: gadfly"),
    click.option("--wit", type=float, help="From 0, dry, to 1, merciless. Default: 0.5"),
    click.option("--system", help="A system prompt of your own instead of the persona's."),
    click.option("--max-tokens", type=int, help="Cut answers off after so many. Default: 1024"),
    click.option("--temperature", type=float, help="0 always takes the likeliest word. Default: the persona's."),
    click.option("--seed", type=int, help="The same seed, the same answers."),
    click.option("--context", type=int, help="Tokens the model can see. Default: all it was made for, up to 8192."),
    click.option("--threads", type=int, help="Processors to use. Default: all."),
    click.option(
        "--experts",
        type=click.Choice(["resident", "streamed", "mapped"]),
        help="Where experts of a mixture live, or layers: in memory or on disk. Default: in memory, if they fit.",
    ),
    click.option("--memory", metavar="SIZE", help="Stay below this, such as 8GiB, with all that is held."),
    click.option(
        "--cache/--no-cache",
        default=None,
        help="Keep weights packed on disk, so that starts are quick. Default: if there is plenty of room.",
    ),
    click.option("--offline/--online", default=None, help="Never use the network."),
    adapter_option,
)


def speaking_options(command: F) -> F:
    """Add the flags; the function gets them as `persona`, `wit` …, None for what was not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_adapters(given: Sequence[str]) -> dict[str | Path, float] | None:
    """Strengths by name or path, as `gadfly.load` takes them; None if nothing was given."""
    if list(given) == ["none"]:
        return {}
    found: dict[str | Path, float] = {}
    for text in given:
        name, _, strength = text.rpartition("=")
        try:
            name, number = (name, float(strength)) if name else (text, 1.0)
        except ValueError:  # an equals sign in a path
            name, number = text, 1.0
        if name == "none":
            raise click.UsageError("--adapter none stands alone.")
        found[name] = number
    return found or None


def settings_from(flags: Mapping[str, Any], model: str | None) -> Settings:
    """Settings in which these flags and this model win. Raises SettingsError."""
    names = ("persona", "wit", "threads", "memory", "cache", "offline")
    return load_settings({"model": model, **{name: flags[name] for name in names}})


def answer_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of `max_tokens`, `temperature` and `seed`, as `gadfly.chat.session.Chat` takes it."""
    names = ("max_tokens", "temperature", "seed")
    return {name: flags[name] for name in names if flags[name] is not None}
