"""Which model to offer: the best freely licensed one that fits this machine and speaks the user's language.

Pure functions of what they are given. Who asks the user: `gadfly.cli`; what this machine has: `memory`.
"""

from collections.abc import Mapping

from gadfly.hub.catalogue import DEFAULT, Catalogue, Model
from gadfly.hub.progress import size_text

__all__ = ["comfortable", "language_of", "language_warning", "offer", "recommend"]

_SHARE = 0.6  # of the memory, that a model may want: people run a browser besides,
_BROWSER = 16_000_000_000  # though not one that grows with the machine


def comfortable(memory: int) -> int:
    """How many of `memory` bytes a model may fill without being in its user's way."""
    return max(round(_SHARE * memory), memory - _BROWSER)


def recommend(memory: int, language: str, catalogue: Catalogue) -> Model:
    """The largest file that runs, is free, chats in `language` (BCP 47) and fits `memory` bytes comfortably.

    Where no model fits or speaks the language: the default.
    """
    fitting = [model for model in _free_speakers(language, catalogue) if model.memory <= comfortable(memory)]
    return max(fitting, key=lambda model: model.parameters, default=catalogue[DEFAULT])


def offer(model: Model, language: str) -> str:
    """The question that offers to fetch `model`, to be answered with one key (j/y or n)."""
    size = size_text(model.size) if model.size else "unknown size"
    if _tag(language) == "de":
        return f"Für diesen Rechner empfohlen: {model.name} ({size}, {model.licence}). Jetzt laden? [j/n]"
    return f"Recommended for this machine: {model.name} ({size}, {model.licence}). Fetch it now? [y/n]"


def language_warning(model: Model, language: str, catalogue: Catalogue) -> str | None:
    """A sentence for someone whose language the model does not speak, with one that does; None if it speaks it."""
    if _tag(language) in model.languages:
        return None
    speakers = _free_speakers(language, catalogue)
    other = min(speakers, key=lambda speaker: speaker.memory).name if speakers else None
    english = model.languages == ("en",)
    if _tag(language) == "de":
        only = "spricht nur Englisch" if english else "spricht kein Deutsch"
        return f"{model.name} {only}." + (f" Deutsch kann zum Beispiel {other}: gadfly pull {other}" if other else "")
    only = "speaks English only" if english else "does not speak your language"
    return f"{model.name} {only}." + (
        f" One that speaks your language is {other}: gadfly pull {other}" if other else ""
    )


def _tag(language: str) -> str:
    return language.lower().replace("_", "-").partition("-")[0]


def _free_speakers(language: str, catalogue: Catalogue) -> list[Model]:
    models = [model for model in catalogue.values() if model.status == "runs" and model.free and model.files]
    return [model for model in models if model.template == "chat" and _tag(language) in model.languages]


def language_of(environ: Mapping[str, str]) -> str:
    """The language that the locale asks for, as a tag such as "de"; "en" where there is none."""
    locale = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "C")
    if locale.partition(".")[0] in ("C", "POSIX"):
        return "en"
    wished = environ.get("LANGUAGE", "").partition(":")[0] or locale  # as gettext does it
    tag = wished.partition(".")[0].partition("@")[0].partition("_")[0].lower()
    return tag if tag.isalpha() and 2 <= len(tag) <= 3 else "en"
