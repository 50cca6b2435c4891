"""gadfly inspect, of files and folders."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gadfly.cli.inspect import command
from gadfly.cli.main import main
from gadfly.weights.gguf_writer import write_gguf
from gadfly.weights.load import open_model

GROK = Path(__file__).parents[2] / "data" / "tiny-grok-1"


def inspect(*arguments: str | Path) -> str:
    result = CliRunner().invoke(command, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture
def bee(tmp_path: Path) -> Path:
    """A file of an architecture that nobody knows."""
    metadata = {"general.architecture": "bee", "general.name": "Maya", "tokenizer.chat_template": "{{ buzz }}"}
    path = tmp_path / "bee.gguf"
    write_gguf(path, metadata, {"wing": ("F32", (2, 3), np.zeros((2, 3), np.float32))})
    return path


class TestAFile:
    def test_that_does_not_run_is_shown_all_the_same(self, bee: Path):
        shown = inspect(bee)
        assert shown.startswith(f"file          {bee}\nsha256        {sha256(bee.read_bytes()).hexdigest()}\n")
        assert "name          Maya\narchitecture  bee\nlicence       not stated\nruns          no: " in shown
        assert "tensors       1 in F32, 24 bytes\ntemplate      yes" in shown

    def test_as_json(self, bee: Path):
        facts = json.loads(inspect(bee, "--json", "--tensors"))
        assert facts["tensors"] == {"wing": ["F32", [2, 3]]}
        assert (facts["spec"], facts["chat_template"], facts["tokenizer"]) == (None, True, None)
        assert json.loads(inspect(bee, "--json", "--no-digest"))["sha256"] is None

    def test_its_template(self, bee: Path):
        assert inspect(bee, "--template") == "{{ buzz }}\n"


class TestAFolder:
    def test_many_files_are_counted_and_their_digests_come_last(self):
        lines = inspect(GROK).splitlines()
        assert lines[0] == f"files         39 in {GROK}"
        assert "licence       apache-2.0" in lines
        assert "layers        3 of width 96, 8 experts of 272, 2 for each token" in lines
        digests = dict(reversed(line.split("  ")) for line in lines[-39:])
        config = GROK / "config.json"
        assert digests[str(config)] == sha256(config.read_bytes()).hexdigest()
        assert len(inspect(GROK, "--no-digest").splitlines()) == len(lines) - 39

    def test_tensors_are_listed_in_columns(self):
        lines = inspect(GROK, "--no-digest", "--tensors").splitlines()[-38:]
        assert len({line.index(" F32 " if " F32 " in line else " I8 ") for line in lines}) == 1
        assert lines[0].split() == ["language_model/in_out_embed/embeddings", "F32", "[512,", "96]"]

    def test_as_json_it_has_the_keys_of_a_file(self, bee: Path):
        facts = json.loads(inspect(GROK, "--json", "--no-digest", "--tensors"))
        assert set(json.loads(inspect(bee, "--json", "--tensors"))) | {"cost"} == set(facts)
        assert facts["runs"] is True
        assert facts["spec"]["layers"] == 3
        assert facts["formats"]["I8"]["tensors"] == 21

    def test_of_a_mixture_a_token_meets_only_its_experts(self):
        weights = open_model(GROK).weights
        experts = [np.prod(weights[path].shape) for path in weights if len(weights[path].shape) == 3]
        cost = json.loads(inspect(GROK, "--json", "--no-digest"))["cost"]
        assert len(experts) == 3 * 3
        assert cost["parameters"] - cost["active_parameters"] == sum(experts) * 6 // 8

    @pytest.mark.skipif("GADFLY_TEST_DATA" not in os.environ, reason="wants the tokenizer of the real Grok-1")
    def test_its_tokenizer(self, tmp_path: Path):
        folder = shutil.copytree(GROK, tmp_path / "grok")
        tokenizer = Path(os.environ["GADFLY_TEST_DATA"]) / "oracle" / "grok-1-tokenizer" / "tokenizer.model"
        shutil.copyfile(tokenizer, folder / "tokenizer.model")
        assert "tokenizer     tokenizer.model, 131,072 tokens" in inspect(folder, "--no-digest").splitlines()


def test_a_tokenizer_that_cannot_be_read_keeps_a_model_from_running_and_is_no_reason_to_hide_the_rest(tmp_path: Path):
    folder = shutil.copytree(GROK, tmp_path / "grok")
    (folder / "tokenizer.model").write_bytes(b"nothing of the kind")
    lines = inspect(folder, "--no-digest").splitlines()
    assert any(line.startswith(f"runs          no: {folder / 'tokenizer.model'}") for line in lines)
    assert "layers        3 of width 96, 8 experts of 272, 2 for each token" in lines


def test_what_is_no_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(tmp_path)]) == 2
    assert "config.json and ckpt-0" in capsys.readouterr().err
    assert main(["inspect", "nothing-like-it"]) == 2
