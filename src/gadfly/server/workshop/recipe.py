"""The recipe of a run, as `gadfly train` reads it, and what settings are where a draft leaves them out."""

import json
from collections.abc import Mapping, Sequence

from gadfly.api.openai_fine_tuning_request import JobRequest
from gadfly.server.workshop.job import Method

__all__ = ["RATES", "SETTINGS", "recipe", "settings_of", "usual"]

RATES: Mapping[Method, float] = {"sft": 1e-3, "text": 5e-4, "dpo": 2e-4, "kto": 2e-4}
# what a draft calls it: its key in a recipe, whether it is a whole number, the least, the most, what is usual
SETTINGS: Mapping[str, tuple[str, bool, float, float, float | None]] = {
    "epochs": ("plan.epochs", False, 0.001, 100, 3.0),
    "batch": ("plan.batch", True, 1, 1024, 16),
    "learning_rate": ("plan.learning_rate", False, 1e-7, 1, None),
    "rank": ("lora.rank", True, 1, 256, 16),
    "top_layers": ("lora.top_layers", True, 1, 1000, None),
    "longest": ("longest", True, 8, 2**20, 1024),
    "hold": ("hold.weight", False, 0, 1000, 0.0),  # to what the model says of plain questions
    "beta": ("preference.beta", False, 1e-4, 1000, 0.1),
    "seed": ("plan.seed", True, 0, 2**31 - 1, 0),
}


def usual(method: Method) -> dict[str, float | None]:
    """Settings by their names in a draft."""
    found = {name: setting[-1] for name, setting in SETTINGS.items()}
    return {**found, "learning_rate": RATES[method]}


def settings_of(request: JobRequest, method: Method) -> dict[str, float]:
    """Of what OpenAI's client asks for."""
    rate = None if request.rate is None else request.rate * RATES[method]
    asked = {"epochs": request.epochs, "batch": request.batch, "learning_rate": rate, "beta": request.beta}
    return {"seed": request.seed, **{name: value for name, value in asked.items() if value is not None}}


def recipe(base: str, method: Method, settings: Mapping[str, float], questions: Sequence[str] = ()) -> bytes:
    """Texts are JSON's, which TOML understands. Without questions, the usual ones are asked."""
    lines = [f"base = {json.dumps(base)}", f'method = "{method}"', 'out = "adapter"', 'data = "data"']
    if questions:
        lines.append(f"questions = {json.dumps(questions, ensure_ascii=False)}")
    if "hold" in settings:
        lines.append('hold.questions = "plain"')
    lines += [f"{SETTINGS[name][0]} = {value!r}" for name, value in settings.items()]
    return ("\n".join(lines) + "\n").encode()
