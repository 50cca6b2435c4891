"""The default model itself, where it has been pulled (`make model`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from gadfly.hub.library import Library
from gadfly.settings import home


@pytest.fixture(scope="session")
def model_path() -> Path:
    path = Library(home()).resolve("smollm2")
    if path is None:
        pytest.skip("the default model is not here; run `make model`")
    return path


@pytest.fixture(scope="session")
def exact() -> list[dict[str, Any]]:
    """Twelve chat prompts and what float32 arithmetic makes of them: see the file's "about"."""
    data = Path(__file__).parent.parent / "data" / "smollm2-exact.json"
    return json.loads(data.read_text())["prompts"]
