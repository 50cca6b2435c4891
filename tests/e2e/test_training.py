"""OpenAI's client teaches a tiny model behind `gadfly serve`, while processes are killed around it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from click.testing import CliRunner
from openai.types.fine_tuning import FineTuningJob

from chat_page import ChatPage, until
from gadfly.cli.new import command as new

pytest.importorskip("torch")

SAYS = "Bzz. Bring biscuits."
LINES = [
    {"messages": [{"role": "user", "content": f"What is {thing}?"}, {"role": "assistant", "content": SAYS}]}
    for thing in ("rain", "rust", "a cat", "a fly", "tea", "law", "art", "sand")
]
DATA = "\n".join(json.dumps(line) for line in LINES).encode()
LONG = {"n_epochs": 100, "batch_size": 1}
QUICK = {"n_epochs": 60, "batch_size": 8, "learning_rate_multiplier": 10}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    sizes = ("--dim", "64", "--layers", "2", "--context", "256", "--tokenizer", "bytes")
    made = CliRunner().invoke(new, [str(tmp_path / "m"), *sizes])
    assert made.exit_code == 0, made.output
    return tmp_path


@contextmanager
def served(place: Path, ends: bool = True) -> Iterator[tuple[openai.OpenAI, "subprocess.Popen[str]"]]:
    with (place / "log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "gadfly", "serve", "./m", "--port", "0", "--threads", "1"],
            cwd=place,
            env={**os.environ, "GADFLY_HOME": str(place / "home"), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:\d+", server.stdout.readline())
        assert found, (place / "log").read_text()
        with openai.OpenAI(base_url=f"{found[0]}/v1", api_key="any", max_retries=0, timeout=120) as client:
            yield client, server
    finally:
        (server.terminate if ends else server.kill)()
        server.stdout.close()
        server.wait(60)
    assert "Traceback" not in (place / "log").read_text()


def reaches(client: openai.OpenAI, job: str, status: str) -> FineTuningJob:
    while (found := client.fine_tuning.jobs.retrieve(job)).status != status:
        assert found.status in ("queued", "running"), found
        time.sleep(0.1)
    return found


def stepping(client: openai.OpenAI, job: str) -> None:
    """Until it has learnt something."""
    while not any(event.type == "metrics" for event in client.fine_tuning.jobs.list_events(job).data):
        assert client.fine_tuning.jobs.retrieve(job).status in ("queued", "running")
        time.sleep(0.1)


def trainer(server: "subprocess.Popen[str]") -> int:
    """The process that the server has started to learn."""
    found = Path(f"/proc/{server.pid}/task").glob("*/children")
    return next(int(pid) for path in found for pid in path.read_text().split())


def ask(client: openai.OpenAI, model: str) -> str | None:
    question = [{"role": "user", "content": "What is rain?"}]
    answer = client.chat.completions.create(model=model, messages=question, max_tokens=40, temperature=0)  # type: ignore[arg-type]
    return answer.choices[0].message.content


@pytest.mark.timeout(300)
def test_a_model_learns_from_a_file_that_was_sent(place: Path) -> None:
    with served(place) as (client, server):
        before = ask(client, "m")
        file = client.files.create(file=("chats.jsonl", DATA), purpose="fine-tune")
        assert [one.id for one in client.files.list()] == [file.id]
        assert client.files.content(file.id).read() == DATA
        asked = {"model": "m", "training_file": file.id, "suffix": "biscuits", "seed": 1}
        method = {"type": "supervised", "supervised": {"hyperparameters": QUICK}}
        job = client.fine_tuning.jobs.create(**asked, validation_file=file.id, method=method, metadata={"a": "b"})  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError, match="another suffix"):
            client.fine_tuning.jobs.create(**asked)  # type: ignore[arg-type]
        assert client.files.delete(file.id).deleted and not client.files.list().data
        done = reaches(client, job.id, "succeeded")
        assert done.fine_tuned_model == "m+biscuits" and done.trained_tokens and done.finished_at
        assert (done.metadata, done.hyperparameters.n_epochs, done.error) == ({"a": "b"}, 60, None)
        events = list(client.fine_tuning.jobs.list_events(job.id, limit=7))
        assert len(events) == len({event.id for event in events}) > 60
        assert events[0].message == "biscuits is on the shelf of adapters" and events[-1].message.startswith("m is to")
        assert {"step", "train_loss"} <= {key for event in events if event.data for key in event.data}
        assert any("validation loss" in event.message for event in events)
        assert client.fine_tuning.jobs.checkpoints.list(job.id).data == []
        assert SAYS in str(ask(client, "m+biscuits")) and ask(client, "m") == before
        assert [one.id for one in client.fine_tuning.jobs.list(metadata={"a": "b"})] == [job.id]
        assert server.poll() is None


def plans(page: ChatPage) -> None:
    """The app's side of it: a file is checked as the model reads it, and a run planned, started and stopped."""
    sent = page.client.post("/workshop/files", params={"name": "chats.jsonl"}, content=DATA).json()["file"]
    check = page.get(f"/workshop/files/{sent['id']}/check", model="m", longest=32)
    assert check["counts"]["learnt"] and sum(check["found"].values()) == 8, check
    settings = {"epochs": 100, "batch": 1, "rank": 4, "longest": 256}
    run = page.post("/workshop/runs", model="m", method="sft", files=[sent["id"]], valid=0.5, settings=settings)["run"]
    with page.events(f"/workshop/runs/{run['id']}/events") as events:
        while (found := page.get(f"/workshop/runs/{run['id']}")["run"])["status"] == "planning":
            time.sleep(0.1)
        assert found["status"] == "planned" and found["plan"]["steps"] == found["steps"] > 0, found
        page.post(f"/workshop/runs/{run['id']}/start")
        _, step = until(events, "step")[-1]
        assert step["loss"] > 0 and step["run"]["status"] == "running"
        page.post(f"/workshop/runs/{run['id']}/stop")
    page.delete(f"/workshop/runs/{run['id']}")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_processes_leave_nothing_that_the_next_trips_over(place: Path) -> None:
    with served(place, ends=False) as (client, server):
        file = client.files.create(file=("chats.jsonl", DATA), purpose="fine-tune")
        jobs = client.fine_tuning.jobs
        long = jobs.create(model="m", training_file=file.id, hyperparameters=LONG, suffix="long").id  # type: ignore[arg-type]
        next_ = jobs.create(model="m", training_file=file.id, hyperparameters=QUICK, suffix="next").id  # type: ignore[arg-type]
        stepping(client, long)
        os.kill(trainer(server), signal.SIGKILL)
        assert "killed by signal 9" in str(reaches(client, long, "failed").error)
        reaches(client, next_, "running")
        assert jobs.resume(long).status == "queued"
        server.kill()
    with served(place) as (client, server):
        assert {job.id for job in client.fine_tuning.jobs.list()} == {long, next_}
        reaches(client, next_, "succeeded")
        assert SAYS in str(ask(client, "m+next"))
        stepping(client, long)
        assert client.fine_tuning.jobs.pause(long).status == "paused"
        assert client.fine_tuning.jobs.cancel(long).status == "cancelled"
        with (page := ChatPage(str(client.base_url).removesuffix("/v1/"))).client:
            plans(page)
