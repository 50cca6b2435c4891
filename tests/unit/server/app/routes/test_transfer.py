"""What comes from elsewhere, and what is taken away."""

import json
import sqlite3

from serving import eventually
from unit.chat.test_cards import FIELDS, png


def test_chats_of_another_program_are_taken_in(page):
    conversation = {"messages": [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Ho."}]}
    lines = "\n".join(map(json.dumps, [conversation, {"strange": 1}]))
    answer = page.client.post("/import", content=lines)
    report = answer.raise_for_status().json()
    assert (report["taken"], report["format"]) == (1, "messages")
    (skipped,) = report["skipped"]
    assert (skipped["what"], skipped["why"]) == ("conversation 2", "is of no format known here; it has 'strange'")
    assert (skipped["place"]["number"], skipped["reason"], skipped["values"]) == (2, "format", {"keys": "'strange'"})
    (chat,) = page.get("/chats")["chats"]
    assert [one["content"] for one in page.nodes(chat["id"])] == ["Hi?", "Ho."]
    for data in (b"", b"nonsense", b"PK\x03\x04broken"):
        assert page.client.post("/import", content=data).status_code in (200, 400)


def test_chats_are_taken_away(page):
    chat = page.chat(title="Über/Bienen")
    page.post(f"/chats/{chat}/messages", text="<b>Hi</b>?", answer=None)
    page.patch(f"/chats/{page.chat(title='Put away')}", archived=True)
    for form, extension in (("markdown", "md"), ("html", "html"), ("messages", "jsonl"), ("sharegpt", "jsonl")):
        answer = page.client.get(f"/chats/{chat}/export", params={"format": form})
        assert f'filename="Uber-Bienen.{extension}"' in answer.headers["content-disposition"]
        assert "Hi" in answer.text
        assert "Über" in page.client.get("/export", params={"format": form}).text
    assert "<b>Hi" not in page.client.get(f"/chats/{chat}/export?format=html").text
    assert page.client.get(f"/chats/{chat}/export?format=docx").status_code == 400
    assert page.client.get("/export?format=docx").status_code == 400


def test_the_database_is_a_file_of_its_own(page, home):
    page.chat(title="Kept")
    answer = page.client.get("/export/database")
    assert "gadfly-chats.sqlite" in answer.headers["content-disposition"]
    (home / "copy.sqlite").write_bytes(answer.content)
    connection = sqlite3.connect(home / "copy.sqlite")
    assert connection.execute("SELECT title FROM chat").fetchall() == [("Kept",)]
    connection.close()
    assert eventually(lambda: not list(home.glob("gadfly-backup-*")))


def test_a_character_card_becomes_a_persona_of_a_free_name(page):
    for name in ("xanthippe", "xanthippe-2"):
        taken = page.client.post("/personas/import", content=json.dumps(FIELDS)).raise_for_status().json()
        assert taken["persona"]["name"] == name
    assert taken["notes"] == []
    assert page.get("/personas/xanthippe")["own"]
    for data in (b"", b"{}", png()):
        assert page.client.post("/personas/import", content=data).status_code == 400
