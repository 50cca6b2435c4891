"""The form of results: ratios point one way, lines come back as they were written, machines get their turns."""

import argparse

import pytest

from result import Result, add_options, read_results, take_turns


def test_a_ratio_says_how_many_times_better_ours_is():
    found = Result("some", peer="other 1.0")
    assert found.add("tokens/s", [30, 10, 20], [5, 10, 20]).ratio == 2
    assert found.add("s", [3, 1, 2], [4, 8, 6]).ratio == 3
    assert found.add("MB", [7]).ratio is None


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match="there is no unit 'parsecs'"):
        Result("some").add("parsecs", [1])


def test_a_line_is_appended_and_read_back(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    add_options(parser)
    given = parser.parse_args(["--results", str(tmp_path / "found.jsonl")])
    for threads in (1, 2):
        found = Result("some", peer="llama.cpp 0.3.36")
        found.add("tokens/s", [100.0 * threads], [50.0], model="tiny", threads=threads)
        found.publish(given)
    first, second = read_results(tmp_path / "found.jsonl")
    assert first["benchmark"] == second["benchmark"] == "some"
    assert second["rows"] == [
        {
            "what": {"model": "tiny", "threads": 2},
            "unit": "tokens/s",
            "ours": 200.0,
            "theirs": 50.0,
            "ratio": 4.0,
            "ours_rounds": [200.0],
            "theirs_rounds": [50.0],
        }
    ]
    assert "| tiny  | 2       | tokens/s | 200    | 50        | 4.00  |" in capsys.readouterr().out


def test_a_file_of_something_else_is_named(tmp_path):
    (tmp_path / "other.jsonl").write_text('{"benchmark": 1}\n')
    with pytest.raises(ValueError, match=r"other\.jsonl:1 is no result"):
        read_results(tmp_path / "other.jsonl")


def test_subjects_take_turns_and_the_first_round_does_not_count():
    called = []

    def subject(name):
        def measure():
            called.append(name)
            return len(called)

        return measure

    assert take_turns({"a": subject("a"), "b": subject("b")}, rounds=2) == {"a": [3, 6], "b": [4, 5]}
    assert "".join(called) == "baabba"
