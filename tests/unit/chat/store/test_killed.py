"""Processes that are killed while they write: what they said was safe, is. And two that write at once."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gadfly.chat.store import Store
from gadfly.chat.store.schema import MIGRATIONS
from gadfly.conversation import Message
from unit.chat.store.mortal import NEXT_VERSION

MORTAL = Path(__file__).with_name("mortal.py")


def killed(what: str, path: Path, seconds: float) -> list[dict[str, Any]]:
    """What it has said when it is killed, `seconds` after it was ready."""
    process = subprocess.Popen([sys.executable, MORTAL, what, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        first = process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
    lines = (first + rest).splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def kill_talkers(path: Path, rounds: int) -> int:
    """All on the same file, which grows; returns how many answers were cut short."""
    random.seed(rounds)
    interrupted = 0
    for _ in range(rounds):
        safe = killed("talk", path, random.uniform(0, 0.4))
        store = Store(path)
        assert store.check() == []
        chats = {fact["chat"]: {} for fact in safe if "chat" in fact}
        for fact in safe:
            if "node" in fact:
                chats[fact["chat"]][fact["node"]] = fact
        for chat, nodes in chats.items():
            found = {node.id: node for node in store.open("", chat).nodes}
            for number, fact in nodes.items():
                node = found[number]
                assert node.message.content.startswith(fact["text"])
                assert node.state in ("complete", "interrupted")
                if fact.get("whole"):
                    assert (node.state, node.message.content, node.has_trace) == ("complete", fact["text"], True)
                interrupted += node.state == "interrupted"
                assert (node.message.role == "user") or node.provenance.model == "mortal"
        store.close()
    return interrupted


def kill_migrations(folder: Path, rounds: int, messages: int) -> tuple[int, int]:
    """Each on a fresh copy; returns how many ended before and after."""
    old = Store(folder / "old.sqlite")
    chat = old.create("").id
    with old.writing():  # in one transaction, which is quicker
        for number in range(messages):
            old.say("", chat, None, Message("user", f"{number} {'words ' * 50}"))
    said = old.open("", chat)
    old.close()
    random.seed(rounds)
    longest, versions = 0.1, [0, 0]
    for _ in range(rounds):
        path = folder / "new.sqlite"
        shutil.copy(folder / "old.sqlite", path)
        told = killed("migrate", path, random.uniform(0, longest))
        migrated = _version(path) > len(MIGRATIONS)
        longest *= 0.7 if migrated else 1.4  # so that both outcomes are about as frequent, on any machine
        versions[migrated] += 1
        assert migrated or {"done": True} not in told
        new = Store(path, migrations=[*MIGRATIONS, NEXT_VERSION])
        assert new.check() == []
        assert new.open("", chat) == said
        new.close()
        for file in folder.glob("new.sqlite*"):
            file.unlink() if file.is_file() else file.rmdir()
    return versions[0], versions[1]


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    assert isinstance(version, int)
    return version


def test_a_few_processes_are_killed_while_they_stream(tmp_path: Path):
    kill_talkers(tmp_path / "chats.sqlite", rounds=4)


def test_a_few_processes_are_killed_while_they_migrate(tmp_path: Path):
    kill_migrations(tmp_path, rounds=3, messages=1000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_processes_are_killed_while_they_stream(tmp_path: Path):
    assert kill_talkers(tmp_path / "chats.sqlite", rounds=100) > 20


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_hundred_processes_are_killed_while_they_migrate(tmp_path: Path):
    before, after = kill_migrations(tmp_path, rounds=100, messages=5_000)
    assert min(before, after) > 10


def test_two_processes_write_at_once(tmp_path: Path):
    path = tmp_path / "chats.sqlite"
    store = Store(path)
    process = subprocess.Popen([sys.executable, MORTAL, "talk", path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        for _ in range(3):  # until it has a chat
            process.stdout.readline()
        chat = store.create("", "here").id
        for number in range(20):
            store.say("", chat, None, Message("user", f"{number} here"))
        theirs = [one for one in store.chats("").chats if one.id != chat]
        writing = [node for one in theirs for node in store.open("", one.id).nodes if node.state == "writing"]
        assert len(writing) <= 1  # by a process that is alive, so nobody interrupts it
        os.kill(process.pid, signal.SIGKILL)
    assert [node.message.content for node in store.open("", chat).nodes] == [f"{number} here" for number in range(20)]
    assert theirs
    left = [node for one in store.chats("").chats for node in store.open("", one.id).nodes]
    assert not any(node.state == "writing" for node in left)
    assert store.check() == []
    store.close()
