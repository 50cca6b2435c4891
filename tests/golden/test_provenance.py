"""What the store keeps of an answer of the default model is enough to have it again."""

from pathlib import Path

import gadfly
from gadfly.chat.store import Store


def test_an_answer_can_be_had_again_from_its_provenance(model_path: Path, tmp_path: Path) -> None:
    llm = gadfly.load(model_path, threads=2)
    store = Store(tmp_path / "chats.sqlite")
    chat = llm.chat(wit=0.8, store=store, max_tokens=24, temperature=0.9)
    said = chat.send("Tell me something odd about horses.").text
    [info] = store.chats("").chats
    answer = store.open("", info.id).path[-1]
    completion = chat.turns[-1].reply.completion
    store.close()
    origin = answer.provenance
    assert answer.message.content == said
    assert (origin.model, origin.licence, origin.build["kernels"]) == ("smollm2", "Apache-2.0", llm.kernels)
    assert len(origin.digest or "") == 64
    assert (origin.finish, origin.usage["completion_tokens"]) == (completion.finish_reason, len(completion.ids))
    again = llm.chat(origin.persona or "", origin.wit or 0.0, max_tokens=24, seed=origin.seed, **origin.sampling)
    assert again.send("Tell me something odd about horses.").text == said
