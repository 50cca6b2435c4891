"""The queue of jobs: what is asked for happens, whoever dies in between."""

import json
import logging
import os

import pytest

from gadfly.api.openai_files import Upload
from gadfly.api.openai_fine_tuning_request import JobRequest
from gadfly.errors import CapacityError, NotFoundError, RequestError, SettingsError, UnsupportedError
from gadfly.server.workshop.draft import Draft, read_draft
from gadfly.server.workshop.recipe import SETTINGS, recipe, usual
from gadfly.server.workshop.workshop import Workshop
from serving import eventually
from unit.server.workshop.conftest import DONE, ILL, LINE, LONG, base


def reaches(workshop, job, *status):
    return eventually(lambda: workshop.jobs.get(job.id).status in status)


def test_what_came_of_a_job_is_an_adapter_on_the_shelf(opened, tmp_path, file):
    workshop, renewed = opened(DONE), []
    workshop.renew = renewed.append
    job = workshop.begin("", JobRequest("smollm2", file, suffix="terse"))
    assert reaches(workshop, job, "succeeded")
    assert workshop.jobs.get(job.id).adapter == "terse" and renewed == ["smollm2"]
    assert (tmp_path / "adapters" / "terse" / "adapter_config.json").exists()
    with pytest.raises(RequestError, match="another suffix"):
        workshop.begin("", JobRequest("smollm2", file, suffix="terse"))
    workshop.delete("", job.id, adapter=True)
    assert not (tmp_path / "adapters" / "terse").exists()
    assert eventually(lambda: not list((tmp_path / "workshop").glob("ftjob-*")))


def test_what_fails_says_why_and_may_be_tried_again(opened, file):
    workshop = opened(ILL)
    job = workshop.begin("", JobRequest("smollm2", file))
    assert reaches(workshop, job, "failed")
    assert workshop.jobs.get(job.id).error == "there is nothing to learn"
    workshop.close()
    again = opened(DONE)
    assert again.resume("", job.id).error is None
    assert reaches(again, job, "succeeded")


def test_a_job_that_its_server_leaves_goes_on_with_the_next(opened, file):
    workshop = opened(LONG)
    job, other = (workshop.begin("", JobRequest("smollm2", file)) for _ in range(2))
    assert reaches(workshop, job, "running")
    assert workshop.ahead(other) == 1
    workshop.close()
    following = opened(DONE)
    assert all(reaches(following, one, "succeeded") for one in (job, other))


def test_only_one_of_two_servers_has_runs_and_the_other_may_stop_them(opened, file):
    first, second = opened(LONG), opened(DONE)
    job = first.begin("", JobRequest("smollm2", file))
    assert reaches(second, job, "running", "succeeded")
    if second.jobs.get(job.id).status == "running":
        second.stop("", job.id)
        assert second.jobs.get(job.id).status == "stopped"


@pytest.mark.parametrize("end", ["stop", "cancel", "delete"])
def test_a_run_ends_when_it_is_told_to(opened, tmp_path, file, end):
    workshop = opened(LONG)
    job = workshop.begin("", JobRequest("smollm2", file))
    assert reaches(workshop, job, "running")
    getattr(workshop, end)("", job.id)
    following = workshop.begin("", JobRequest("smollm2", file))
    assert reaches(workshop, following, "running")  # its turn comes, so the other is gone
    if end == "delete":
        assert not (tmp_path / "workshop" / job.id).exists()
        return
    assert workshop.jobs.get(job.id).status == {"stop": "stopped", "cancel": "cancelled"}[end]
    with pytest.raises(RequestError, match="cannot be stopped"):
        workshop.stop("", job.id)


def test_a_server_that_died_while_it_shelved_an_adapter(opened, tmp_path, file):
    workshop = opened(LONG)
    made, shelved = (workshop.begin("", JobRequest("smollm2", file, suffix=name)) for name in ("made", "shelved"))
    assert reaches(workshop, made, "running")
    workshop.close()
    facts = tmp_path / "workshop" / shelved.id / "job.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "status": "running", "adapter": "shelved"}))
    for folder in (tmp_path / "workshop" / made.id / "adapter", tmp_path / "adapters" / "shelved"):
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
    following = opened(ILL)
    assert all(reaches(following, one, "succeeded") for one in (made, shelved))
    assert (tmp_path / "adapters" / "made").exists()


def test_a_disk_that_refuses_does_not_end_the_queue(opened, file, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, "gadfly.server")
    workshop = opened(DONE)
    refuse, ask = [True], workshop._worker.waiting

    def waiting():
        if refuse:
            refuse.clear()
            raise SettingsError("the disk is away")
        return ask()

    monkeypatch.setattr(workshop._worker, "waiting", waiting)
    assert eventually(lambda: not refuse)
    assert reaches(workshop, workshop.begin("", JobRequest("smollm2", file)), "succeeded")
    assert "the disk is away" in caplog.text


def test_a_draft_is_planned_and_waits_for_its_start(opened, file):
    plan = json.dumps({"at": 1, "event": "plan", "steps": 7, "disk": 10})
    workshop = opened(f"import sys\nif '--plan' in sys.argv: print({plan!r})\nelse:\n    {DONE}")
    workshop.uploads.add("", Upload("more.jsonl", LINE.replace(b"Hi", b"Ho")))
    job = workshop.draft("", Draft("smollm2", "sft", "fly", files=(file,), valid=0, settings={"epochs": 2.0}))
    assert reaches(workshop, job, "planned", "failed")
    assert workshop.jobs.get(job.id).plan == {"steps": 7, "disk": 10}
    folder = workshop.jobs.place(job)
    assert (folder / "data" / "train.jsonl").read_bytes() == LINE
    assert "plan.epochs = 2.0" in (folder / "recipe.toml").read_text()
    workshop.launch("", job.id)
    assert reaches(workshop, job, "succeeded")


def test_what_there_is_nothing_to_learn_from(tmp_path):
    workshop = Workshop(tmp_path, base, ("true",))
    with pytest.raises(RequestError, match="no lessons to learn from yet"):
        workshop.draft("", Draft("smollm2", "sft", chats="free"))
    with pytest.raises(RequestError, match="nothing to learn from"):
        workshop.draft("", Draft("smollm2", "sft"))
    damaged = workshop.uploads.add("", Upload("x", LINE + b"{\n"))
    with pytest.raises(RequestError, match="training_file, line 2: is not JSON"):
        workshop.begin("", JobRequest("smollm2", damaged.id))
    assert not [path for path in (tmp_path / "workshop").iterdir() if path.is_dir()]


def test_files_models_and_jobs_that_are_not_there_or_not_theirs(tmp_path, file, monkeypatch):
    workshop = Workshop(tmp_path, base, ("true",))
    with pytest.raises(NotFoundError, match="no file"):
        workshop.begin("", JobRequest("smollm2", "../keys"))
    with pytest.raises(NotFoundError, match="no file"):
        workshop.begin("ben", JobRequest("smollm2", file))
    with pytest.raises(NotFoundError, match="no model"):
        workshop.begin("", JobRequest("/etc", file))
    job = workshop.begin("", JobRequest("smollm2", file))
    for ask in (workshop.stop, workshop.cancel, workshop.resume, workshop.launch, workshop.delete):
        for owner, id_ in (("ben", job.id), ("", "../keys"), ("", "ftjob-" + "0" * 24)):
            with pytest.raises(NotFoundError, match="no fine-tuning job"):
                ask(owner, id_)
    monkeypatch.setattr("gadfly.server.workshop.workshop.find_spec", lambda _: None)
    with pytest.raises(UnsupportedError, match="pip install"):
        Workshop(tmp_path, base).begin("", JobRequest("smollm2", file))


def test_jobs_that_are_over_make_room_and_others_do_not(tmp_path, file):
    workshop = Workshop(tmp_path, base, ("true",), most=2)
    first, second = (workshop.begin("", JobRequest("smollm2", file)) for _ in range(2))
    with pytest.raises(CapacityError, match="2 fine-tuning jobs"):
        workshop.begin("", JobRequest("smollm2", file))
    workshop.cancel("", second.id)
    third = workshop.begin("", JobRequest("smollm2", file))
    assert {job.id for job in workshop.jobs.list("")} == {first.id, third.id}


def test_what_is_damaged_or_half_made_is_no_job(tmp_path, file):
    workshop = Workshop(tmp_path, base, ("true",))
    job = workshop.begin("", JobRequest("smollm2", file))
    for damage in ("{", "[]", "null", '{"request": null}', "\x00"):
        (tmp_path / "workshop" / job.id / "job.json").write_text(damage)
        assert workshop.jobs.list() == []
    half = tmp_path / "workshop" / "new-1"
    half.mkdir()
    workshop.jobs.sweep()
    assert half.exists()
    workshop.jobs.clock = lambda: half.stat().st_mtime + 4000
    workshop.jobs.sweep()
    assert not half.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": ""}, "model"),
        ({"method": "rl"}, "method"),
        ({"name": "../x"}, "name"),
        ({"chats": "stolen"}, "chats"),
        ({"chats": "free", "method": "text"}, "chats are no texts"),
        ({"files": ["a", "a"]}, "each file once"),
        ({"files": "a"}, "files"),
        ({"valid": 0.6}, "valid"),
        ({"settings": {"epochs": 0}}, r"settings\.epochs"),
        ({"settings": {"batch": 1.5}}, r"settings\.batch"),
        ({"questions": ["a", "b", "c", "d"]}, "questions"),
        ({"questions": ["Who\nare you?"]}, r"questions\[0\]"),
        ({"settings": {"clip": 1}}, r"settings\.clip is no setting; there are epochs"),
    ],
)
def test_drafts_that_make_no_sense_are_named(changed, message):
    with pytest.raises(RequestError, match=message):
        read_draft({"model": "smollm2", "method": "sft", **changed})


def test_settings_are_what_a_recipe_has(tmp_path):
    read_recipe = pytest.importorskip("gadfly.train.recipe").read_recipe
    for method in ("sft", "text", "dpo", "kto"):
        (tmp_path / "recipe.toml").write_text(f'method = "{method}"')
        read = read_recipe(tmp_path / "recipe.toml")
        for name, value in usual(method).items():
            found = read
            for part in SETTINGS[name][0].split("."):
                found = getattr(found, part)
            assert (found if name != "hold" or read.hold.wanted else 0) == value, (method, name)


def test_a_recipe_asks_what_a_draft_does(tmp_path):
    recipes, questions = pytest.importorskip("gadfly.train.recipe"), ('Wer "bist" du? \N{FLY} \\', "Was ist Regen?")
    for asked in (questions, ()):
        (tmp_path / "recipe.toml").write_bytes(recipe("smollm2", "sft", {"epochs": 2.0}, asked))
        found = recipes.read_recipe(tmp_path / "recipe.toml")
        assert found.questions == (asked or recipes.QUESTIONS) and found.plan.epochs == 2


def test_a_recipe_keeps_what_the_model_knows_if_a_draft_says_so(tmp_path):
    recipes, path = pytest.importorskip("gadfly.train.recipe"), tmp_path / "recipe.toml"
    for settings, weight in (({"hold": 2.0, "rank": 8}, 2.0), ({"hold": 0.0}, None), ({}, None)):
        draft = read_draft({"model": "smollm2", "method": "sft", "settings": settings})
        path.write_bytes(recipe("smollm2", "sft", draft.settings))
        hold = recipes.read_recipe(path).hold
        assert (hold.weight if hold.wanted else None) == weight and hold.questions in ("plain", "")


def test_a_change_shows_even_if_the_clock_of_the_disk_has_not_moved(file, tmp_path):
    workshop = Workshop(tmp_path, base)
    job = workshop.begin("", JobRequest("smollm2", file))
    facts = tmp_path / "workshop" / job.id / "job.json"
    before, at = workshop.jobs.changed(job.id), facts.stat()
    workshop.jobs.change(job.id, lambda job: job)
    os.utime(facts, ns=(at.st_atime_ns, at.st_mtime_ns))
    assert workshop.jobs.changed(job.id) != before
