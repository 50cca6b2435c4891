"""gadfly new as a user and a program see it."""

import json

import pytest
from click.testing import CliRunner

import gadfly
from gadfly.cli.new import command, count_text
from gadfly.errors import GadflyError
from gadfly.weights.load import open_model

TINY = ("--dim", "64", "--layers", "2", "--vocab", "80")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def new(*arguments):
    result = CliRunner().invoke(command, list(arguments))
    if isinstance(result.exception, GadflyError):
        raise result.exception
    return result


def test_help_has_examples():
    assert "gadfly new ./grok --arch grok1" in new("--help").output


def test_it_says_what_was_made_and_what_to_do_next():
    said = new("./m", *TINY).stdout.splitlines()
    assert said[0].startswith("m: a llama of 2 layers and width 64, ") and "parameters; " in said[0]
    assert said[2] == "It has no tokenizer, so it takes ids and no text: gadfly bench m"
    said = new("g", "--arch", "grok1", *TINY).stdout
    assert ", of which a token meets " in said


def test_what_programs_read():
    made = json.loads(new("g", "--arch", "grok1", "--json", *TINY, "--dtype", "f32", "--untied").stdout)
    assert made["architecture"] == "grok1" and made["layers"] == 2 and not made["tied"]
    model = open_model("g")
    sizes = {id(model.weights[path]): model.weights[path].size for path in model.weights}
    assert 4 * made["parameters"] == sum(sizes.values())
    assert made["active_parameters"] < made["parameters"]


def test_tokenizers_bring_their_vocabulary():
    said = new("m", "--tokenizer", "bytes", "--dim", "64").stdout
    assert "gadfly run m --raw" in said and open_model("m").spec.vocab == 260
    new("copy", "--tokenizer", "m", "--dim", "64", "--vocab", "300")
    assert open_model("copy").spec.vocab == 300
    assert gadfly.Tokenizer.from_file("copy/tokenizer.json").vocab_size == 260
    with pytest.raises(GadflyError, match="--vocab is 100, but the tokenizer has 260 tokens"):
        new("no", "--tokenizer", "bytes", "--vocab", "100")


def test_like_another():
    new("m", "--arch", "mixtral", *TINY, "--untied")
    new("n", "--like", "m", "--layers", "3")
    one, other = open_model("m"), open_model("n")
    assert other.page is one.page and len(other.spec.blocks) == 3 and other.spec.blocks[0] == one.spec.blocks[0]
    assert other.weights["output"] is not other.weights["embedding"]
    with pytest.raises(GadflyError, match="m is a mixtral and no llama"):
        new("o", "--like", "m", "--arch", "llama")
    with pytest.raises(GadflyError, match="there is no model 'nothing' here"):
        new("o", "--like", "nothing")


def test_the_release():
    said = new("g", "--arch", "grok1", *TINY, "--release").stdout
    assert " of int8." in said
    assert len(gadfly.load("g", threads=1).generate([1, 2, 3], max_tokens=4, ignore_eos=True).ids) == 4
    with pytest.raises(GadflyError, match=r"tokenizer.model only"):
        new("h", "--arch", "grok1", "--release", "--tokenizer", "bytes")
    for wrong in (("--dtype", "f32"), ("--untied",)):
        assert new("h", "--arch", "grok1", "--release", *wrong).exit_code == 2


def test_so_many_parameters():
    made = json.loads(new("m", "--params", "3M", "--vocab", "1000", "--json").stdout)
    assert 2e6 < made["parameters"] < 4e6
    assert new("n", "--params", "many").exit_code == 2


def test_mistakes_are_one_line():
    with pytest.raises(GadflyError, match="would be a folder"):
        new("m.gguf")
    with pytest.raises(GadflyError, match="--experts means nothing to the architecture llama"):
        new("m", "--experts", "4")
    assert new("m", "--arch", "gpt-9").exit_code == 2 and new("m", "--dim", "0").exit_code == 2
    new("m", *TINY)
    with pytest.raises(GadflyError, match="exists and is not empty"):
        new("m", *TINY)


@pytest.mark.parametrize(("count", "text"), [(999, "999"), (135_000_000, "135M"), (1.1e9, "1.1B"), (314e9, "314B")])
def test_counts_for_people(count, text):
    assert count_text(count) == text
