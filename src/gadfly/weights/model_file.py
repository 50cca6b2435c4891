"""A model on disk, opened and understood: what every format is brought to before a backend sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gadfly.arch import Page
from gadfly.spec import ModelSpec
from gadfly.weight import Weight, Weights

__all__ = ["ModelFile"]


@dataclass(frozen=True)
class ModelFile:
    """`weights` are views of the mapped files, laid out the way the runtime wants them.

    `metadata` is what the format says beside the spec (a chat template, a licence), `tokenizer` the file that holds
    one, `release` gives the pages read so far back to the system, `files` are those that weights are views of.
    """

    path: Path
    page: Page
    spec: ModelSpec
    weights: Weights[Weight]
    metadata: Mapping[str, Any]
    tokenizer: Path | None
    release: Callable[[], None]
    files: tuple[Path, ...] = ()
