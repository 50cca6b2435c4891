"""The promise of bounded memory, under a limit that kills whoever breaks it."""

import json
import sys
from pathlib import Path

import pytest

from memory_group import limited

GADFLY = [sys.executable, "-m", "gadfly"]
LIMIT = 2**28  # a quarter of what is promised, as the model is smaller than what is promised, too


@pytest.mark.slow
def test_a_release_twelve_times_as_large_as_memory_is_converted(tmp_path: Path) -> None:
    sizes = [
        "--layers",
        "2",
        "--dim",
        "3072",
        "--heads",
        "24",
        "--head-dim",
        "128",
        "--hidden",
        "16384",
        "--vocab",
        "32000",
    ]
    with limited(LIMIT) as group:
        if group is None:
            pytest.skip("no control group can be made here")
        made = group.run([*GADFLY, "new", str(tmp_path / "grok"), "--arch", "grok1", "--release", *sizes])
        assert made.returncode == 0, made.stderr
        size = sum(path.stat().st_size for path in (tmp_path / "grok" / "ckpt-0").iterdir())
        assert size > 10 * LIMIT
        done = group.run(
            [*GADFLY, "convert", str(tmp_path / "grok"), str(tmp_path / "grok.gguf"), "--as", "q4_k", "--json"]
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bits_per_weight"] < 5.5
