"""The shelf of adapters, and how strong they are in a chat."""

import json

from gadfly.arch import llama
from gadfly.testing import random_adapter, tiny_spec
from gadfly.weights.adapter_writer import write_adapter


def test_the_shelf_says_what_each_was_made_from(page, home):
    adapter = random_adapter(tiny_spec(), 1)
    write_adapter(home / "adapters" / "pirate", adapter, llama.PAGE, "smollm2")
    facts = {"method": "sft", "samples": 40, "steps": 9, "dial": [[0, 0], [1, 1.2]], "persona": {"name": "pirate"}}
    (home / "adapters" / "pirate" / "gadfly.json").write_text(json.dumps(facts))
    write_adapter(home / "adapters" / "broken", adapter, llama.PAGE)
    (home / "adapters" / "broken" / "gadfly.json").write_text("[")
    broken, ours, pirate = page.get("/adapters")["adapters"]
    assert (ours["name"], ours["own"], ours["persona"]) == ("gadfly", False, "gadfly")
    assert (broken["name"], broken["base"]) == ("broken", None)
    assert "gadfly.json is damaged" in broken["error"]
    assert {**pirate, "bytes": 0, "created": 0} == {
        "name": "pirate",
        "own": True,
        "bytes": 0,
        "created": 0,
        "base": "smollm2",
        "persona": "pirate",
        "dial": True,
        "method": "sft",
        "samples": 40,
        "steps": 9,
    }
    page.delete("/adapters/broken")
    assert [one["name"] for one in page.get("/adapters")["adapters"]] == ["gadfly", "pirate"]
    assert page.client.delete("/adapters/broken").status_code == 404


def test_a_chat_keeps_how_strong_they_are(page):
    chat = page.chat(adapters={"pirate": 1.5})
    assert page.get(f"/chats/{chat}")["chat"]["adapters"] == {"pirate": 1.5}
    assert page.patch(f"/chats/{chat}", adapters={"poet": 2})["chat"]["adapters"] == {"poet": 2.0}
    refused = page.client.patch(f"/chats/{chat}", json={"adapters": {"poet": 2.5}})
    assert refused.status_code == 400 and "adapters.poet" in refused.text
    assert page.patch(f"/chats/{chat}", adapters=None)["chat"]["adapters"] == {}
