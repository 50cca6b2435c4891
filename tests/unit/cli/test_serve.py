"""gadfly serve before it serves: what it is given, and what it makes of it. The rest is in tests/e2e/test_server.py."""

import pytest
from click.testing import CliRunner

from gadfly.cli import serve
from gadfly.errors import GadflyError, NotFoundError, RequestError
from gadfly.hub.library import Library
from hub_server import gguf
from serving import service_for


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GADFLY_OFFLINE", "1")
    return tmp_path / "home"


@pytest.fixture
def served(monkeypatch):
    """What would have been served."""
    found = {}

    def run(service, house, listening, app):
        found.update(service=service, house=house, url=listening.getsockname(), app=app)

    monkeypatch.setattr("gadfly.server.run.run_server", run)
    return found


def run(*arguments):
    result = CliRunner().invoke(serve.command, ["--port", "0", *arguments])
    if isinstance(result.exception, GadflyError):
        raise result.exception
    return result


def model(folder, name):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(gguf(1000))
    return str(folder / name)


def test_files_are_served_under_the_names_of_files(served, tmp_path):
    first, second = model(tmp_path / "x", "One.gguf"), model(tmp_path / "x", "two.gguf")
    result = run(first, second, "--most", "1")
    assert result.exit_code == 0, result.output
    assert served["service"].models.pinned == ("one", "two")
    assert served["service"].default_model == "one"
    assert "Gadfly serves one, two at http://127.0.0.1:" in result.output
    with pytest.raises(RequestError, match="are both called one"):
        run(first, model(tmp_path / "y", "one.gguf"))


def test_on_this_machine_no_key_is_asked_for_unless_one_is_given(served, tmp_path):
    file = model(tmp_path / "x", "one.gguf")
    run(file)
    assert not served["house"].closed
    run(file, "--api-key", "secret")
    assert served["house"].closed
    assert len(served["house"].keys()) == 1
    assert "secret" not in repr(served["house"].keys())
    result = run(file, "--require-key")
    assert "Keep this one, it is not shown again: gadfly-" in result.output
    keys = served["house"].keys
    assert [key.name for key in keys()] == ["first"]
    assert "gadfly-" not in run(file, "--host", "0.0.0.0").output
    assert served["house"].closed


def test_names_and_origins_are_handed_on(served, tmp_path):
    file = model(tmp_path / "x", "one.gguf")
    run(file, "--allow-host", "Box.example", "--allow-origin", "https://page.example", "--alias", "gpt=one")
    assert served["house"].hosts == {"box.example"}
    assert served["house"].origins == {"https://page.example"}
    assert run(file, "--alias", "gpt").exit_code == 2


def test_what_is_not_here_is_an_error_offline(served):
    with pytest.raises(NotFoundError):
        run("smollm2")
    assert not served
    assert not Library(serve.home()).list()


def test_a_service_without_a_default_says_that_a_model_is_missing():
    service = service_for(None)
    service.default_model = None
    with pytest.raises(RequestError, match="model is missing"):
        service.model_name(None)
    assert service.model_name("a") == "a"


def test_models_that_lie_here_may_be_taught_unless_it_is_said_otherwise(served, tmp_path):
    file = model(tmp_path / "x", "one.gguf")
    run(file)
    workshop = served["service"].workshop
    assert workshop.can_teach("one") and not workshop.can_teach(file) and not workshop.can_teach("../one")
    run(file, "--no-training")
    assert served["service"].workshop is None
