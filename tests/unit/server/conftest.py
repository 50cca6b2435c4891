import pytest

from gadfly.completion import Usage
from gadfly.conversation import Finished, TextDelta
from gadfly.testing import ScriptedAnswers
from hub_server import gguf, serve
from serving import service_for, serving

BODY = gguf(100_000)  # of the model that the hub has
USAGE = Usage(7, 3, 2, 0.25, 0.5)
HELLO = (TextDelta("Hel"), TextDelta("lo."), Finished("stop", USAGE))


@pytest.fixture
def llm():
    return ScriptedAnswers(HELLO)


@pytest.fixture
def server(llm):
    with serving(service_for(llm)) as running:
        yield running


@pytest.fixture
def hub(monkeypatch):
    """One that has owner/model."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.add_repository("owner/model", {"model-Q4_0.gguf": BODY})
        yield server
