"""What is offered of what is allowed, under which names, and what is wrong with the rest."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadfly.chat.tools.file import ToolFile
from gadfly.chat.tools.patience import Patience, ToolStopped
from gadfly.chat.tools.server import ToolServer
from gadfly.chat.tools.toolbox import Toolbox
from gadfly.errors import ToolError

SERVERS = Path(__file__).parents[3] / "tool_servers"
LONG = 250.0  # seconds that nobody waits for in vain


def rude(mode: str, name: str = "rude") -> ToolServer:
    return ToolServer(name, (sys.executable, str(SERVERS / "rude.py"), mode))


@pytest.fixture
def file(tmp_path: Path) -> ToolFile:
    made = ToolFile(tmp_path)
    made.add(rude("polite"))
    made.add(ToolServer("web", searxng="https://search.example/"))
    made.add(ToolServer("none", ("no-such-program",)))
    made.add(rude("same names", "same"))
    return made


@pytest.fixture
def box(file: ToolFile) -> Iterator[Toolbox]:
    made = Toolbox(file)
    yield made
    made.close()


def names(box: Toolbox, *allowed: str) -> list[str]:
    return [tool.name for tool in box.offer(allowed, Patience(LONG)).shown]


def test_only_what_is_allowed_is_offered(box: Toolbox) -> None:
    assert names(box) == []
    assert names(box, "web") == ["web__search"]
    assert names(box, "rude/poke", "web/search", "rude") == ["rude__poke", "web__search"]


def test_what_is_wrong_with_one_server_does_not_touch_the_others(box: Toolbox) -> None:
    offer = box.offer(["none", "gone", "rude", "web/find"], Patience(LONG))
    assert [tool.name for tool in offer.shown] == ["rude__poke"]
    assert len(offer.problems) == 3
    assert "none cannot be started" in offer.problems[0] and "no tools called 'gone'" in offer.problems[1]
    assert offer.problems[2] == "web has no tool 'find'"


def test_names_that_become_the_same_stay_apart(box: Toolbox) -> None:
    made = names(box, "same")
    assert len(set(made)) == 2 and all(name.startswith("same__po_ke_") and name.isidentifier() for name in made)
    assert made == names(box, "same")


def test_a_call_goes_to_its_server(box: Toolbox) -> None:
    offered = box.offer(["rude"], Patience(LONG)).find("rude__poke")
    assert offered is not None
    assert offered.call({}, Patience(LONG)).text == "ouch"
    assert box.offer(["rude"], Patience(LONG)).find("rude__prod") is None


def test_a_call_has_no_more_time_than_its_server_is_given(file: ToolFile) -> None:
    file.remove("rude")
    server = rude("silent")
    file.add(ToolServer(server.name, server.command, seconds=0.2))
    box = Toolbox(file)
    offered = box.offer(["rude"], Patience(LONG)).tools[0]
    with pytest.raises(ToolError, match=r"within 0\.2 s"):
        offered.call({}, Patience(LONG))
    box.close()


def test_offline_asks_this_machine_only(file: ToolFile) -> None:
    file.add(ToolServer("near", searxng="http://127.0.0.1:8888"))
    box = Toolbox(file, offline=True)
    offer = box.offer(["web", "near"], Patience(LONG))
    assert [tool.name for tool in offer.shown] == ["near__search"]
    assert "web is not on this machine" in offer.problems[0]
    box.close()


def test_a_server_that_was_written_down_anew_is_started_anew(box: Toolbox, file: ToolFile) -> None:
    before = box.offer(["rude"], Patience(LONG)).tools[0]
    file.remove("rude")
    file.add(rude("odd"))
    assert "audio" in box.offer(["rude"], Patience(LONG)).tools[0].call({}, Patience(LONG)).text
    with pytest.raises(ToolError, match="closed"):
        before.call({}, Patience(LONG))


def test_starting_can_be_cancelled_and_a_closed_box_offers_nothing(box: Toolbox) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(ToolStopped):
        box.offer(["rude"], Patience(LONG, cancelled))
    box.close()
    assert "no tools any more" in box.offer(["rude"], Patience(LONG)).problems[0]
