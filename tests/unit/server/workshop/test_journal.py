"""Journals are read as they grow, thinned, and whatever a killed process has left in them."""

import json
import threading
from collections import deque

from gadfly.server.workshop.journal import POINTS, Journal, events_in


def step(number, loss=1.0, at=None):
    figures = {"learning_rate": 0.1, "gradient_norm": 1.0, "tokens": 10, "learnt": 5, "seconds": 0.5}
    return {"at": number if at is None else at, "event": "step", "step": number, "loss": loss, **figures}


def write(path, *events):
    with path.open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


BEGAN = {"at": 0, "event": "began", "train": 8, "valid": 1, "steps": 4, "step": 0}


def test_a_journal_tells_how_far_a_run_is(tmp_path):
    journal = Journal(tmp_path / "events.jsonl", followed=True)
    assert (journal.read().loss, journal.left, journal.speed) == (None, None, None)
    judged = {"at": 2, "event": "judged", "step": 2, "loss": 3.0, "accuracy": 0.5}
    write(journal.path, BEGAN, step(1, 4.0), step(2, 2.0), judged, {"at": 3, "event": "note", "text": "hm"})
    journal.read()
    assert (journal.samples, journal.step, journal.steps, journal.loss, journal.learnt) == (8, 2, 4, 3.0, 10)
    assert (journal.speed, journal.left) == (20.0, 2.0)
    assert journal.judged == [{"step": 2, "loss": 3.0, "figures": {"accuracy": 0.5}}]
    assert [note["text"] for note in journal.notes] == ["hm"]
    assert [event["event"] for event in journal.since(3)] == ["judged", "note"]


def test_how_far_it_is_may_be_asked_while_others_read_on(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    write(journal.path, BEGAN, step(1), step(2))
    journal.read()

    class Looked(deque):
        """Somebody else wants to read on, after each of its values."""

        def __iter__(self):
            for value in super().__iter__():
                yield value
                write(journal.path, step(len(threads) + 3))
                threads.append(threading.Thread(target=journal.read))
                threads[-1].start()
                threads[-1].join(0.05)

    threads = []
    journal._pace = Looked(journal._pace)
    assert (journal.speed, len(threads)) == (20.0, 2)
    for thread in threads:
        thread.join()
    assert journal.step == 4


def test_steps_that_are_done_again_are_forgotten(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    write(journal.path, BEGAN, step(1), step(2), step(3), {**BEGAN, "step": 2}, step(3, 7.0))
    assert [point["loss"] for point in journal.read().points] == [1.0, 1.0, 7.0]


def test_what_was_said_is_kept_and_forgotten_with_the_steps_that_are_done_again(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    said = [{"at": 1, "event": "tried", "step": n, "prompt": "Rain?", "text": f"Water {n}."} for n in (0, 2, 4)]
    write(journal.path, BEGAN, *said, {"at": 1, "event": "tried", "step": 4})
    assert journal.read().state()[0]["tried"][1] == {"step": 2, "prompt": "Rain?", "text": "Water 2."}
    write(journal.path, {**BEGAN, "step": 3}, {**said[2], "text": "Rain."})
    assert [one["text"] for one in journal.read().state()[0]["tried"]] == ["Water 0.", "Water 2.", "Rain."]


def test_a_long_curve_is_thinned(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    write(journal.path, BEGAN, *(step(number, float(number)) for number in range(1, 5 * POINTS + 1)))
    points = journal.read().points
    assert POINTS <= len(points) < 2 * POINTS and journal.step == 5 * POINTS
    assert points[0] == {**points[0], "step": 4, "loss": 2.5}
    assert journal.since(0) is None


def test_half_a_line_is_read_when_it_is_whole_and_damage_is_left_out(tmp_path):
    journal = Journal(tmp_path / "events.jsonl")
    journal.path.write_bytes(b'{"at": 1, "event": "no')
    assert journal.read().count == 0
    with journal.path.open("ab") as file:
        file.write(b'te", "text": "hm"}\n{"at": 1, "ev\n7\n{}\n' + b"[" * 50_000 + b"\n")
    assert (journal.read().count, len(journal.notes)) == (1, 1)
    assert list(events_in(b'{"at": true, "event": 1}\n{"at": "x"}')) == [{"at": True, "event": 1}]
    write(journal.path, {"at": 1, "event": "step", "step": "x"}, {"at": 1, "event": "judged", "step": 1})
    journal.read()
