import pytest

from chat_page import ChatPage
from gadfly.completion import Usage
from gadfly.conversation import Finished, ReasoningDelta, TextDelta, TokenLogprob
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, service_for, serving

USAGE = Usage(7, 3, 2, 0.25, 0.5)
TOKENS = (TokenLogprob(72, "Hel", b"Hel", -0.25, (TokenLogprob(72, "Hel", b"Hel", -0.25),)),)
HELLO = (ReasoningDelta("Hm."), TextDelta("Hel", TOKENS), TextDelta("lo 🦟."), Finished("stop", USAGE))
ANSWER = "Hello 🦟."


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def llm():
    return ScriptedAnswers(HELLO)


@pytest.fixture
def app(llm, home):
    return chat_app_for(service_for(llm), home)


@pytest.fixture
def server(app):
    with serving(app.service, chat_app=app) as running:
        yield running


@pytest.fixture
def page(server):
    made = ChatPage(server.url)
    with made.client:
        yield made
