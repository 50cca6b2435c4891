"""One store, many threads."""

from concurrent.futures import ThreadPoolExecutor

from gadfly.chat.store import Provenance, Store
from gadfly.conversation import Message


def test_threads_write_and_read_at_once(store: Store):
    chat = store.create("").id

    def work(number: int) -> int:
        asked = store.say("", chat, None, Message("user", f"asked {number}"))
        writing = store.begin("", chat, asked.id, Provenance(model="m"))
        writing.write(f"answer {number}")
        seen = store.open("", chat)
        assert seen.tree[asked.id].message.content == f"asked {number}"
        writing.finish(Message("assistant", writing.text))
        assert store.search("", f'"answer {number}"')
        return asked.id

    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(work, range(40)))
    nodes = store.open("", chat).nodes
    assert len(nodes) == 80
    assert len(set(asked)) == 40
    assert {node.state for node in nodes} == {"complete"}
