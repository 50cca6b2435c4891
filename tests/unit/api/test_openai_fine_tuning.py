"""Jobs and events as OpenAI's client has them."""

import pytest
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

from gadfly.api.openai_fine_tuning import Event, JobFacts, event_list, job_list, job_object, no_checkpoints
from gadfly.api.openai_fine_tuning_request import JobRequest

PLAIN = JobRequest("smollm2", "file-1")
PAIRS = JobRequest("smollm2", "file-1", "file-2", "dpo", 2, 4, 0.5, 0.1, "terse", 3)


@pytest.mark.parametrize("request_", [PLAIN, PAIRS])
def test_a_job_is_one_to_the_client(request_):
    job = FineTuningJob.model_validate(job_object(JobFacts("ftjob-1", request_, 7, "succeeded", 9, "terse", None, 50)))
    assert (job.status, job.fine_tuned_model, job.trained_tokens) == ("succeeded", "smollm2+terse", 50)
    assert job.method is not None and job.method.type == request_.method
    assert job_list([])["data"] == []


def test_what_failed_says_why_and_made_nothing():
    job = FineTuningJob.model_validate(job_object(JobFacts("ftjob-1", PLAIN, 7, "failed", 9, error="no lessons")))
    assert job.error is not None and job.error.message == "no lessons"
    assert job.fine_tuned_model is None


def test_events_are_messages_or_figures():
    said = event_list([Event("e-2", 8, "step 1", data={"loss": 2.5}), Event("e-1", 7, "queued")])["data"]
    figures, message = (FineTuningJobEvent.model_validate(one) for one in said)
    assert (figures.type, figures.data, message.type) == ("metrics", {"loss": 2.5}, "message")
    assert no_checkpoints()["data"] == []
