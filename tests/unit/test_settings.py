"""Settings: four places, in order, each value with its origin, and mistakes named where they were made."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadfly.errors import SettingsError
from gadfly.settings import Settings, available_processors, home, load_settings


def test_defaults(tmp_path):
    found = load_settings(environ={}, folder=tmp_path)
    assert (found.model, found.persona, found.wit, found.threads, found.offline) == (
        "smollm2",
        "gadfly",
        0.5,
        None,
        False,
    )
    assert set(found.origins.values()) == {"default"} and set(found.origins) == set(Settings.__annotations__) - {
        "origins"
    }


def test_later_places_win_and_say_so(tmp_path):
    (tmp_path / "gadfly.toml").write_text('model = "file"\nwit = 0.1\nthreads = 1\noffline = true\n')
    environ = {"GADFLY_MODEL": "environment", "GADFLY_WIT": "0.2", "GADFLY_OFFLINE": "no", "GADFLY_PERSONA": ""}
    found = load_settings({"model": "flag", "persona": None}, environ, tmp_path)
    assert (found.model, found.persona, found.wit, found.threads, found.offline) == ("flag", "gadfly", 0.2, 1, False)
    assert found.origins == {
        "model": "flag",
        "persona": "default",
        "wit": "environment",
        "threads": "file",
        "memory": "default",
        "cache": "default",
        "offline": "environment",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("wit = 2", r"gadfly\.toml: wit is 2; expected a number from 0 to 1"),
        ("wit = nan", "wit is nan"),
        ("wit = true", "wit is True"),
        ('threads = "two"', "threads is 'two'; expected a whole number from 1 to 1024"),
        ("threads = 0", "threads is 0"),
        ("offline = 1", "offline is 1; expected true or false"),
        ('model = ""', "model is ''"),
        ('modle = "x"', "modle is no setting; did you mean model"),
        ("[chat]\nwit = 0", "chat is no setting; there are model"),
        ("wit = ", "cannot be read as TOML"),
        ("wit = " + "9" * 5000, "cannot be read as TOML"),
        ("a = " + "[" * 10_000, "cannot be read as TOML"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path, text, words):
    (tmp_path / "gadfly.toml").write_text(text)
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(environ={}, folder=tmp_path)
    assert str(tmp_path / "gadfly.toml") in str(caught.value)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "gadfly.toml").mkdir()
    with pytest.raises(SettingsError, match=r"gadfly\.toml cannot be read"):
        load_settings(environ={}, folder=tmp_path)


@pytest.mark.parametrize(
    ("variable", "text"),
    [("WIT", "very"), ("WIT", "1.1"), ("THREADS", "2.5"), ("THREADS", "²"), ("OFFLINE", "maybe"), ("MODEL", "a\nb")],
)
def test_mistakes_in_the_environment_name_the_variable(tmp_path, variable, text):
    with pytest.raises(SettingsError, match=f"GADFLY_{variable} is ") as caught:
        load_settings(environ={f"GADFLY_{variable}": text}, folder=tmp_path)
    assert "\n" not in str(caught.value)


def test_mistakes_in_flags_name_the_flag(tmp_path):
    with pytest.raises(SettingsError, match=r"--wit is 7; expected a number from 0 to 1"):
        load_settings({"wit": 7}, {}, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(alphabet='wit=mode"[]{}.0\n ', max_size=60).map(str.encode))
def test_any_file_loads_or_is_a_settings_error(tmp_path, content):
    (tmp_path / "gadfly.toml").write_bytes(content)
    try:
        load_settings(environ={}, folder=tmp_path)
    except SettingsError as error:
        assert "gadfly.toml" in str(error)


def test_home(tmp_path, monkeypatch):
    assert home({"GADFLY_HOME": str(tmp_path)}) == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home({"GADFLY_HOME": "here"}) == tmp_path / "here"
    assert home({"GADFLY_HOME": "~/there"}) == tmp_path / "there"
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert home({}).name == "gadfly" and home({}).is_absolute()


@pytest.mark.parametrize("given", ["{file}", "x" * 5000, "~nobody-of-that-name/x"])
def test_a_home_that_cannot_be(tmp_path, given):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="GADFLY_HOME is"):
        home({"GADFLY_HOME": given.format(file=tmp_path / "file")})


def test_a_home_need_not_exist_yet(tmp_path):
    assert load_settings(environ={"GADFLY_HOME": str(tmp_path / "new")}).model == "smollm2"
    assert not Path(tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "250000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "1000 100000\n"}, 1),
        (  # a container sees its own group at the root, whatever it is called outside
            {"proc/self/cgroup": "4:cpu,cpuacct:/docker/0f3a\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n"}
            | {"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            4,
        ),
        (
            {"proc/self/cgroup": "4:cpu:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n"}
            | {"sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n"},
            8,
        ),
        ({"proc/self/cgroup": "nonsense\n0::relative\n", "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
    ],
)
def test_processors_are_those_that_control_groups_leave(tmp_path, monkeypatch, texts, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_processors(tmp_path) == expected
