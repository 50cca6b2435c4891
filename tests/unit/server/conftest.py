import pytest

from gadfly.completion import Usage
from gadfly.conversation import Finished, TextDelta
from gadfly.testing import ScriptedAnswers
from serving import service_for, serving

USAGE = Usage(7, 3, 2, 0.25, 0.5)
HELLO = (TextDelta("Hel"), TextDelta("lo."), Finished("stop", USAGE))


@pytest.fixture
def llm():
    return ScriptedAnswers(HELLO)


@pytest.fixture
def server(llm):
    with serving(service_for(llm)) as running:
        yield running
