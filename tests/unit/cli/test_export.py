"""gadfly export as a user and a program see it; what it writes adds up to the same, also for the programs of others."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import gadfly
from gadfly.cli.export import command
from gadfly.cli.new import command as new
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.weight import Plain
from gadfly.weights.adapter import Adapter, Pair, merged, read_adapter
from gadfly.weights.adapter_sum import summed
from gadfly.weights.adapter_writer import write_adapter
from gadfly.weights.gguf import GGUF
from gadfly.weights.load import open_model

PARTS = ("mixer.query", "mixer.key", "mixer.output", "ffn.down")
IDS = list(range(60, 90))


def made(name: str, seed: int, rank: int, parts: tuple[str, ...] = PARTS) -> Adapter:
    model, random = open_model("m"), np.random.default_rng(seed)
    shapes = dict(model.spec.shapes())
    pairs = {
        path: Pair(
            (random.normal(size=(rank, shapes[path][1])) / 8).astype(np.float32),
            (random.normal(size=(shapes[path][0], rank)) / 4).astype(np.float32),
        )
        for path in (f"blocks.{layer}.{part}" for layer in range(2) for part in parts)
    }
    adapter = Adapter(pairs, 2.0, {"base": "m", "run": "r | s", "steps": 3, "lora": {"rank": rank}})
    write_adapter(Path(name), adapter, model.page, "m")
    return adapter


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    sizes = ("--dim", "64", "--layers", "2", "--context", "128", "--tokenizer", "bytes")
    assert CliRunner().invoke(new, ["m", *sizes]).exit_code == 0


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(command, ["--base", "./m", *arguments])
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def logits(path: str) -> np.ndarray:
    return gadfly.load(path, backend="reference").logits(IDS)


def test_a_sum_of_adapters_is_the_sum_of_what_they_change() -> None:
    one, two = made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    both = summed([(one, 0.7), (two, -0.5)])
    assert both.rank == 7 and both.scale == 1 and set(both.pairs) == set(one.pairs)
    for path, pair in both.pairs.items():
        wanted = 0.7 * 2 * one.pairs[path].up @ one.pairs[path].down
        if path in two.pairs:
            wanted = wanted - 0.5 * 2 * two.pairs[path].up @ two.pairs[path].down
        np.testing.assert_allclose(pair.up @ pair.down, wanted, atol=1e-6)
    assert summed([(one, 1.0)]) is one and summed([(one, 0.0)]).pairs["blocks.0.mixer.key"].up.max() == 0
    assert [part["strength"] for part in both.facts["sum_of"]] == [0.7, -0.5] and both.facts["base"] == "m"


def test_a_merged_model_says_what_base_and_adapters_say() -> None:
    one, two = made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    run("a=0.7", "b=-0.5", "--merge", "--as", "f32", "--out", "both.gguf")
    run("a=0.7", "b=-0.5", "--merge", "--as", "f32", "--out", "both")
    folder = open_model("m")
    twice = merged(merged(folder, Adapter(one.pairs, 0.7 * 2)), Adapter(two.pairs, -0.5 * 2))
    for path in one.pairs:
        wanted = twice.weights[path].load()
        assert isinstance(wanted, Plain)
        np.testing.assert_allclose(open_model("both").weights[path].array, wanted.array, atol=1e-6)
    np.testing.assert_allclose(logits("both.gguf"), logits("both"), atol=1e-4)
    assert np.abs(logits("both") - logits("m")).max() > 0.1


def test_adapters_for_peft_and_for_llama_cpp() -> None:
    one = made("a", 1, 4)
    told = json.loads(run("a", "--out", "peft", "--json").stdout)
    assert told == {"path": "peft", "card": "peft/README.md", "base": "./m", "rank": 4, "merged": False}
    model = open_model("m")
    np.testing.assert_array_equal(
        read_adapter(Path("peft"), model.page, model.spec).pairs["blocks.1.ffn.down"].up,
        one.pairs["blocks.1.ffn.down"].up,
    )
    assert run("a", "--out", "a.gguf").stdout.splitlines() == [
        "a.gguf: an adapter of rank 4 for ./m.",
        "a.md: its card.",
    ]
    with GGUF.open("a.gguf") as file:
        assert (file.metadata["general.type"], file.metadata["adapter.lora.alpha"]) == ("adapter", 8.0)
        assert len(file.tensors) == 2 * len(one.pairs)
        for path, name in (
            ("blocks.1.mixer.query", "blk.1.attn_q.weight"),
            ("blocks.0.ffn.down", "blk.0.ffn_down.weight"),
        ):
            np.testing.assert_array_equal(file.weight(f"{name}.lora_a").array, one.pairs[path].down)
            up = model.page.gguf.arrange(path, file.weight(f"{name}.lora_b"), model.spec).rows(slice(None))
            np.testing.assert_array_equal(up.array, one.pairs[path].up)
    run("./a.gguf", "--out", "again")
    again = read_adapter(Path("again"), model.page, model.spec)
    np.testing.assert_array_equal(again.pairs["blocks.1.mixer.key"].up, one.pairs["blocks.1.mixer.key"].up)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_peft_says_what_the_merged_model_says() -> None:
    pytest.importorskip("peft")
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    import peft

    made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    run("a=0.7", "b=-0.5", "--out", "peft")
    run("a=0.7", "b=-0.5", "--merge", "--as", "f32", "--out", "both")
    base = transformers.AutoModelForCausalLM.from_pretrained("m", dtype=torch.float32)
    with torch.no_grad():
        found = peft.PeftModel.from_pretrained(base, "peft")(torch.tensor([IDS])).logits[0].numpy()
    np.testing.assert_allclose(found, logits("both"), atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_llama_cpp_says_what_the_merged_model_says() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    made("a", 1, 4)
    run("a", "--out", "a.gguf")
    run("a", "--merge", "--as", "f32", "--out", "merged.gguf")
    from gadfly.convert.convert import Wanted, convert
    from gadfly.hub.progress import Silent

    convert(Path("m"), Path("m.gguf"), Wanted("f32"), 1, Silent())
    llama = llama_cpp.Llama("m.gguf", n_ctx=64, logits_all=True, verbose=False, n_threads=1, lora_path="a.gguf")
    llama.eval(IDS)
    np.testing.assert_allclose(np.array(llama.scores[: len(IDS)]), logits("merged.gguf"), atol=0.02)


def test_the_card_says_what_is_known_and_cannot_be_broken() -> None:
    made("a", 1, 4)
    metric = {"value": 0.5, "low": 0.25, "high": None, "count": 8}
    task = {"kind": "exact", "metrics": {"kept": metric}, "base": {"kept": {**metric, "value": 1}}}
    Path("e.json").write_text(json.dumps({"tasks": [task]}))
    run("a", "--out", "peft", "--evaluation", "e.json", "--licence", "CC0-1.0\n- evil: true")
    text = Path("peft/README.md").read_text()
    assert text.startswith('---\nbase_model: "./m"\nlicense: "cc0-1.0 - evil: true"\nlibrary_name: peft\n')
    assert "| exact | kept | 8 | 0.500 | 0.250 – – | 1.000 |" in text and "| run | r / s |" in text
    assert "What was added is under CC0-1.0" in text and "| lora | rank 4 |" in text


def test_mistakes_are_one_line() -> None:
    made("a", 1, 4)
    Path("there").mkdir()
    Path("e.json").write_text('{"tasks": [{"metrics": 3}]}')
    for arguments, kind, says in (
        (("a", "--out", "there"), RequestError, "there exists"),
        (("none", "--out", "x"), NotFoundError, "there is no adapter 'none'"),
        (("a=strong", "--out", "x"), RequestError, "the strength of a is 'strong'"),
        (("a=1e9", "--out", "x"), RequestError, "from -100 to 100"),
        (("a", "--out", "x", "--evaluation", "e.json"), RequestError, "is not what `gadfly eval --json` prints"),
        (("a", "--out", "x", "--evaluation", "none"), RequestError, "cannot be read"),
    ):
        with pytest.raises(kind, match=says):
            run(*arguments)
    assert "--as is for --merge and --mixture" in run("a", "--out", "x", "--as", "q8_0", code=2).stderr
    assert not Path("x").exists()


PROMPTS = {"a.txt": "Ahoy, what is the sea?\nWhere is the treasure?\n", "b.txt": "1 + 1 =\n2 * 3 =\n10 / 5 =\n"}


def crew(*arguments: str, code: int = 0) -> Result:
    """A mixture of two, with their prompts."""
    for name, text in PROMPTS.items():
        Path(name).write_text(text)
    return run("a", "b=0.5", "--mixture", "--prompts", "a.txt", "--prompts", "b.txt", *arguments, code=code)


def test_a_mixture_of_characters_runs_and_says_what_it_is() -> None:
    made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    said = crew("--as", "f32", "--out", "crew.gguf").stdout
    assert "attention is one for all experts" in said and said.endswith("crew.md: its card.\n")
    told = json.loads(crew("--as", "f32", "--out", "crew", "--json", "--licence", "CC0-1.0").stdout)
    assert told["path"] == "crew" and told["merged"]
    spec = open_model("crew").spec
    assert [(block.ffn.experts, block.ffn.selected) for block in spec.blocks] == [(2, 2)] * 2
    np.testing.assert_allclose(logits("crew.gguf"), logits("crew"), atol=1e-4)
    np.testing.assert_allclose(gadfly.load("crew.gguf", threads=1).logits(IDS), logits("crew"), atol=0.05)
    assert np.abs(logits("crew") - logits("m")).max() > 0.1
    text = Path("crew/README.md").read_text()
    assert "with an expert for each of 2 adapters, of which a router gives 2 to every token" in text
    assert "- at strength 0.5: name b, run r / s, steps 3" in text and "library_name" not in text
    assert re.search(r"what the base makes of \d+ tokens;", text)


def test_a_mixture_goes_to_one_expert_if_it_is_asked_to() -> None:
    made("a", 1, 4, ("ffn.up",)), made("b", 2, 3, ("ffn.gate", "ffn.down"))
    said = crew("--experts-per-token", "1", "--out", "crew").stdout
    assert "attention is one" not in said
    assert open_model("crew").spec.blocks[0].ffn.selected == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_transformers_says_what_the_mixture_says() -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    crew("--as", "f32", "--out", "crew")
    theirs = transformers.AutoModelForCausalLM.from_pretrained("crew", dtype=torch.float32)
    assert type(theirs).__name__ == "MixtralForCausalLM"
    with torch.no_grad():
        found = theirs(torch.tensor([IDS])).logits[0].numpy()
    np.testing.assert_allclose(found, logits("crew"), atol=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_llama_cpp_says_what_the_mixture_says() -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    made("a", 1, 4), made("b", 2, 3, PARTS[1:])
    crew("--as", "f32", "--out", "crew.gguf")
    llama = llama_cpp.Llama("crew.gguf", n_ctx=64, logits_all=True, verbose=False, n_threads=1, type_k=0, type_v=0)
    llama.eval(IDS)
    np.testing.assert_allclose(np.array(llama.scores[: len(IDS)]), logits("crew.gguf"), atol=1e-3)


def test_what_is_missing_for_a_mixture_is_said() -> None:
    made("a", 1, 4), made("b", 2, 3), made("c", 3, 2, PARTS[:2])
    Path("p.txt").write_text("Why?\n")
    for arguments, says in (
        (("a", "--prompts", "p.txt"), "two or more adapters"),
        (("a", "b", "--prompts", "p.txt"), "2 adapters and 1 files of --prompts"),
        (("a", "c", "--prompts", "p.txt", "--prompts", "p.txt"), "c changes attention alone"),
        (("a", "b", "--prompts", "p.txt", "--prompts", "p.txt"), "what a is asked is too much like"),
        (("a", "b", "--prompts", "p.txt", "--prompts", "p.txt", "--experts-per-token", "3"), "to 3 of 2 experts"),
    ):
        with pytest.raises(RequestError, match=says):
            run(*arguments, "--mixture", "--out", "x")
    assert "exclude each other" in run("a", "--merge", "--mixture", "--out", "x", code=2).stderr
    assert "are for --mixture" in run("a", "--prompts", "p.txt", "--out", "x", code=2).stderr
    assert not Path("x").exists()
