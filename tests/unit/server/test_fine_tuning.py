"""The queue of jobs, with a run that takes the place of training."""

import sys

import pytest

from gadfly.api.openai_files import Upload
from gadfly.api.openai_fine_tuning_request import JobRequest
from gadfly.errors import NotFoundError, RequestError
from gadfly.server.fine_tuning import FineTuning
from gadfly.server.uploads import Uploads
from serving import eventually

DONE = "import os; os.mkdir('adapter'); open('adapter/adapter_config.json', 'w').write('{}')"
ILL = "import sys; sys.exit('there is nothing to learn')"
LONG = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    raise SystemExit(130)"


def known(name):
    if name != "smollm2":
        raise NotFoundError(f"there is no model {name}")


def begun(home, program):
    uploads = Uploads(home)
    tuning = FineTuning(home, uploads, known, (sys.executable, "-c", program))
    tuning.start()
    return tuning, uploads


@pytest.fixture
def file(tmp_path):
    return Uploads(tmp_path).add(Upload("x.jsonl", b'{"messages": []}\n')).id


def test_what_came_of_a_job_is_an_adapter_on_the_shelf(tmp_path, file):
    tuning, _ = begun(tmp_path, DONE)
    job = tuning.create(JobRequest("smollm2", file, suffix="terse"))
    assert eventually(lambda: tuning.get(job.id).status == "succeeded")
    tuning.close()
    assert tuning.get(job.id).adapter == "terse"
    assert (tmp_path / "adapters" / "terse" / "adapter_config.json").exists()
    with pytest.raises(RequestError, match="another suffix"):
        tuning.create(JobRequest("smollm2", file, suffix="terse"))


def test_what_fails_says_why(tmp_path, file):
    tuning, _ = begun(tmp_path, ILL)
    job = tuning.create(JobRequest("smollm2", file))
    assert eventually(lambda: tuning.get(job.id).status == "failed")
    tuning.close()
    assert tuning.get(job.id).error == "there is nothing to learn"


def test_a_job_that_its_server_leaves_goes_on_with_the_next(tmp_path, file):
    tuning, _ = begun(tmp_path, LONG)
    job, other = (tuning.create(JobRequest("smollm2", file)) for _ in range(2))
    assert eventually(lambda: "running" in {tuning.get(one.id).status for one in (job, other)})
    tuning.close()
    assert {tuning.get(one.id).status for one in (job, other)} == {"queued"}
    tuning, _ = begun(tmp_path, DONE)
    assert eventually(lambda: all(tuning.get(one.id).status == "succeeded" for one in (job, other)))
    tuning.close()


def test_a_job_can_be_cancelled_once(tmp_path, file):
    tuning, _ = begun(tmp_path, LONG)
    job = tuning.create(JobRequest("smollm2", file))
    assert eventually(lambda: tuning.get(job.id).status == "running")
    assert tuning.cancel(job.id).status == "cancelled"
    with pytest.raises(RequestError, match="has cancelled"):
        tuning.cancel(job.id)
    tuning.close()
    assert tuning.get(job.id).status == "cancelled"


def test_files_and_jobs_that_are_not_there(tmp_path):
    tuning = FineTuning(tmp_path, Uploads(tmp_path), known)
    with pytest.raises(NotFoundError, match="no file"):
        tuning.create(JobRequest("smollm2", "../keys"))
    with pytest.raises(NotFoundError, match="no model"):
        tuning.create(JobRequest("/etc", "file-1"))
    assert not list((tmp_path / "workshop").glob("*"))
    with pytest.raises(NotFoundError, match="no job"):
        tuning.get("../keys")
