from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from gadfly.cli.expert_map import map_lines, write_map
from gadfly.cli.main import gadfly as command
from gadfly.errors import ModelFileError

SVG = "{http://www.w3.org/2000/svg}"


def test_shades_say_how_busy_an_expert_is_beside_its_share():
    first, *layers = map_lines([[], [4, 4, 4, 4], [0, 1, 2, 13], [0, 0]], 80)
    assert first.startswith("experts by layer, [ ] [░] [▒] [▓] [█]")
    assert layers == ["    1 |▒▒▒▒|", "    2 |  ░█|"]


def test_many_experts_go_on_in_the_next_line():
    _, *lines = map_lines([[1] * 20], 16)
    assert lines == ["    0 |▒▒▒▒▒▒▒▒|", "      |▒▒▒▒▒▒▒▒|", "      |▒▒▒▒|"]


def test_nothing_used_is_no_picture():
    assert map_lines([], 80) == map_lines([[], [0, 0]], 80) == []


def test_a_file_has_a_square_for_each_expert_that_says_what_it_had(tmp_path):
    write_map([[], [5, 0, 7]], tmp_path / "map.svg", "a<b>&c")
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == [f"expert {i} of layer 1: {count} tokens" for i, count in enumerate((5, 0, 7))]
    assert "Experts of a<b>&c, by layer" in [text.text for text in root.iter(f"{SVG}text")]
    fills = [rect.get("fill") for rect in root.iter(f"{SVG}rect") if len(rect)]
    assert len(set(fills)) == 2 and fills[0] == fills[2]
    with pytest.raises(ModelFileError, match="cannot be written"):
        write_map([[1]], tmp_path / "nowhere" / "map.svg", "m")


def test_run_shows_the_picture_and_writes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    drawn, model = tmp_path / "use.svg", str(tmp_path / "mix")
    sizes = {"layers": 2, "dim": 64, "hidden": 64, "heads": 2, "kv-heads": 1, "head-dim": 32, "tokenizer": "bytes"}
    CliRunner().invoke(command, ["new", model, "--arch", "mixtral", *(f"--{key}={it}" for key, it in sizes.items())])
    options = ["--raw", "--max-tokens", "4", "--threads", "1", "--expert-map", str(drawn)]
    said = CliRunner().invoke(command, ["run", model, "Hello", *options])
    assert said.exit_code == 0, said.output
    assert "experts by layer" in said.stderr and f"Drawn in {drawn}." in said.stderr
    assert ElementTree.parse(drawn).getroot().tag == f"{SVG}svg"
