"""gadfly fit as a user and a program see it. Speeds are those of a machine that was made up, so that it is quick."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gadfly.cli.fit import command
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.testing import random_weights, tiny_spec
from gadfly.weights.gguf_writer import write_gguf
from machines import GB, WORKSTATION


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """A home without models, and 25 GB of memory."""
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("gadfly.hub.memory.memory_here", lambda: 25 * GB)
    monkeypatch.setattr("gadfly.hub.memory.memory_available", lambda: 22 * GB)
    monkeypatch.setattr("gadfly.evaluate.fit_probe.probe", lambda *_: WORKSTATION.speeds)
    monkeypatch.setattr("gadfly.evaluate.machine.disk_bandwidth", lambda *_: 2e9)


def fit(*arguments: str):
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, GadflyError):
        raise result.exception
    return result


@pytest.fixture
def file(tmp_path):
    """A tiny llama; nothing is multiplied, so what its weights are does not matter."""
    spec = tiny_spec()
    weights = random_weights(spec)
    from gadfly.arch import llama

    tensors = {}
    for path, shape in spec.shapes():
        tensors[llama.PAGE.gguf.names.entry(path).name] = ("F32", shape, weights[path].array)
    metadata = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.embedding_length": spec.dim,
        "llama.feed_forward_length": 128,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.context_length": spec.context,
        "llama.vocab_size": spec.vocab,
    }
    write_gguf(tmp_path / "tiny.gguf", metadata, tensors)
    return tmp_path / "tiny.gguf"


def test_help_has_examples():
    assert "gadfly fit grok-1" in fit("--help").output


def test_a_model_that_will_run():
    result = fit("smollm2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("smollm2 will run here comfortably: it needs")
    assert "It would read about" in result.stdout and "To fetch: 98.4 MB" in result.stdout
    assert any(line.startswith("Q4_1, as published") for line in lines)
    assert "█" in result.stdout and "\x1b" not in result.stdout


@pytest.mark.parametrize("arguments", [(), ("smollm2",), ("grok-1",), ("mixtral-8x7b", "--no-probe"), ("grok-2",)])
def test_everything_fits_a_screen_of_80_columns(arguments):
    lines = fit(*arguments).stdout.splitlines()
    assert all(len(line) < 80 and line == line.rstrip() and line.isprintable() for line in lines)


@pytest.mark.parametrize("free", [100 * GB, 2000 * GB])
def test_grok_1_says_honestly_what_would_happen(monkeypatch, free):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    result = fit("grok-1")
    text = " ".join(result.stdout.split())
    assert "of its experts have room in memory" in text and "For that it is packed, once, into another 17" in text
    assert "The largest in the catalogue that fits comfortably is eurollm-9b: gadfly pull eurollm-9b" in text
    if free < 360 * GB:
        assert result.exit_code == 1 and text.startswith("grok-1 will not run here: its files take 35")
    else:
        assert result.exit_code == 0 and text.startswith("grok-1 will run here from disk, slowly: it needs ")
        assert "this machine has 25 GB. gadfly pull grok-1 --as q4_0 fetches it so." in text


def test_another_machine_than_this(monkeypatch):
    monkeypatch.setattr("gadfly.evaluate.machine.disk_bandwidth", lambda *_: pytest.fail("its disk was given"))
    rates = []
    for memory in ("32GB", "64GB", "128GB"):
        facts = json.loads(fit("grok-1", "--memory", memory, "--disk", "7GB", "--json").stdout)
        assert facts["machine"]["available_bytes"] == int(memory[:-2]) * GB
        rates.append(facts["streamed"]["decode_tokens_per_s"])
    assert 0.1 < rates[0] < rates[1] < rates[2] < 0.8


def test_a_model_that_is_planned_and_too_large_does_not_run():
    result = fit("grok-2", "--no-probe")
    assert result.exit_code == 1 and "grok-2 does not fit here: it needs" in " ".join(result.stdout.split())


def test_what_programs_read():
    facts = json.loads(fit("llama-3.1-8b", "--json", "--context", "4096").stdout)
    assert facts["runs"] and facts["context"] == 4096 and facts["instead"] is None
    assert facts["parameters"] == 8_030_261_248 and facts["active_parameters"] < facts["parameters"]
    assert facts["cache_bytes_per_token"] == 32 * 8 * (3 * 128 + 4)
    assert facts["cache_bytes"]["131072"] == 131072 * facts["cache_bytes_per_token"]
    assert facts["published"]["fits"] == "comfortable" and facts["published"]["decode_tokens_per_s"] > 0
    assert facts["precisions"][0]["precision"] == "F16"
    assert facts["best"] == "Q8_0"
    assert facts["machine"]["memory_bytes"] == 25 * GB and facts["machine"]["disk_bytes_per_s"] == 2e9

    streamed = json.loads(fit("grok-1", "--json").stdout)["streamed"]
    assert streamed["implemented"] is True and 0 < streamed["decode_tokens_per_s"] < 1


def test_without_a_probe_there_are_no_speeds(monkeypatch):
    monkeypatch.setattr("gadfly.evaluate.fit_probe.probe", lambda *_: pytest.fail("it measured"))
    result = fit("smollm2", "--no-probe")
    assert "WRITES" not in result.stdout and "Nothing was measured" in result.stdout
    assert json.loads(fit("smollm2", "--no-probe", "--json").stdout)["published"]["decode_tokens_per_s"] is None


def test_the_whole_catalogue():
    result = fit()
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert result.exit_code == 0 and {"smollm2", "grok-1", "grok-2"} <= rows.keys()
    assert "yes" in rows["smollm2"] and "no" in rows["grok-1"]
    facts = json.loads(fit("--json", "--no-probe").stdout)
    assert {row["model"]: row["runs"] for row in facts}["smollm2"] is True


def test_a_file_that_is_here(file):
    result = fit(str(file))
    assert (
        result.exit_code == 0 and "F32, the file here" in result.stdout and "Nothing has to be fetched" in result.stdout
    )
    assert json.loads(fit(str(file), "--json").stdout)["cache_bytes"] == {"128": 128 * 2 * 2 * 52}


def test_wrong_questions(file):
    with pytest.raises(NotFoundError, match="did you mean"):
        fit("smolm2")
    with pytest.raises(NotFoundError, match="once its file is here"):
        fit("owner/repository")
    with pytest.raises(RequestError, match="takes from 1 to 128 tokens"):
        fit(str(file), "--context", "129")
    with pytest.raises(RequestError, match="takes from 1"):
        fit("smollm2", "--context", "0")
    assert fit("smollm2", "--threads", "0").exit_code == 2


def test_a_stream_that_cannot_show_shades_gets_letters(monkeypatch):
    from gadfly.cli import fit_picture

    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr(fit_picture.sys, "stdout", Ascii())
    marks = fit_picture.marks()
    monkeypatch.undo()
    assert "".join(marks.values()).isascii() and len(set(marks.values())) == 4
