"""Matrices here are so small that a second thread only waits."""

from pathlib import Path

import pytest
import torch

from gadfly.arch import llama
from gadfly.convert.fresh import write_fresh
from gadfly.convert.sizes import Sizes, draw_up, plain_pattern
from gadfly.text.byte_level import byte_level_files

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    spec = draw_up(plain_pattern("llama"), Sizes(dim=32, layers=2, vocab=260, context=128))
    write_fresh(folder, llama.PAGE, spec, 1, "F32", True, byte_level_files(), lambda _done, _total: None)
    return folder
