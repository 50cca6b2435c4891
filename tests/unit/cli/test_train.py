"""gadfly train as a user and a program see it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gadfly.cli.new import command as new
from gadfly.cli.train import command
from gadfly.errors import GadflyError, SettingsError

PAIR = {
    "prompt": [{"role": "user", "content": "Rain?"}],
    "chosen": {"role": "assistant", "content": "Late water."},
    "rejected": {"role": "assistant", "content": "Precipitation."},
}
RECIPE = 'base = "./m"\nmethod = "dpo"\ndata = "pairs"\nout = "out"\n[plan]\nepochs = 2\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    sizes = ("--dim", "32", "--layers", "1", "--context", "128", "--tokenizer", "bytes")
    assert CliRunner().invoke(new, ["m", *sizes]).exit_code == 0
    Path("pairs").mkdir()
    Path("pairs/train.jsonl").write_text(json.dumps(PAIR) + "\n{\x1b[2J\n")
    Path("pairs/valid.jsonl").write_text(json.dumps(PAIR))
    Path("recipe.toml").write_text(RECIPE)


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(command, ["recipe.toml", "--threads", "1", *arguments])
    if isinstance(result.exception, GadflyError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_preferences_are_shown_as_they_are_learnt() -> None:
    result = run()
    assert result.stdout.startswith("1 samples to learn from, 1 to judge by;")
    assert "margin 0.000  accuracy 0.000 on what it has not seen" in result.stdout
    assert "before: Who are you? … " in result.stdout and "after step 2: Who are you? … " in result.stdout
    assert "accuracy 1.000" in result.stdout and "an adapter for ./m" in result.stdout
    assert "train.jsonl:2: is not JSON" in result.stderr and "\x1b" not in result.stderr


def test_programs_read_an_object_per_step_and_a_new_model_is_said_to_be_one() -> None:
    text = (
        "method=text",
        "plan.pack_tokens=512",
        "data=book.txt",
        "base=new",
        "out=grok",
        "new.budget=0.1 s",
        "new.experts=1",
        "new.context=32",
    )
    Path("book.txt").write_text("It rains. " * 500)
    result = run("--json", *(part for change in text for part in ("--set", change)))
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events[:3]] == ["note", "note", "began"]
    *_, step, said, _ = events
    assert step["event"] == "step" and {"loss", "tokens", "learnt", "seconds", "step"} < step.keys()
    assert said["event"] == "tried" and said["step"] == step["step"] and said["prompt"] == "It rains. It rai"
    assert "grok: a model.\nTry it: gadfly chat --model" in result.stderr


def test_a_recipe_is_refused_with_the_key_that_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"preference: beta is -1; choose a number from 0\.0001 to 1000"):
        run("--set", "preference.beta=-1.0")


def test_it_stops_with_whoever_started_it_and_goes_on_from_there() -> None:
    many = ("--set", "plan.epochs=10000", "--threads", "1", "--json", "--until-eof")
    command = (sys.executable, "-m", "gadfly", "train", "recipe.toml", *many)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:
            if (event := json.loads(line))["event"] == "step":
                process.stdin.close()
                break
        rest = [json.loads(line) for line in process.stdout]
    assert process.returncode == 130 and event["at"] > 0
    last = [event, *(one for one in rest if one["event"] == "step")][-1]["step"]
    result = run("--json", "--set", "plan.epochs=10000", "--plan")  # which leaves the checkpoint alone
    assert json.loads(result.stdout.splitlines()[-1])["event"] == "plan"
    with pytest.raises(GadflyError, match="another recipe"):
        run("--json")
    assert Path("out.run/checkpoint.safetensors").exists() and last < 10000


def test_lines_that_are_left_out_are_events_for_programs() -> None:
    told = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert [one for one in told if one["event"] == "problem"] == [
        {
            "at": told[0]["at"],
            "event": "problem",
            "file": "train.jsonl",
            "line": 2,
            "text": "is not JSON: Expecting property name enclosed in double quotes at character 2",
        }
    ]
