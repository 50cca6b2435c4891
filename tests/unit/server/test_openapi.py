"""Requests made up from /openapi.json, valid and not: none meets a bug of ours, and none stops the server."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gadfly.errors import RequestError
from gadfly.server.workshop.workshop import Workshop
from gadfly.testing import ScriptedAnswers
from serving import chat_app_for, service_for, serving
from unit.server.conftest import HELLO

MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
MEANT = {501}  # of a server error: what is not offered, and says so


def too_long(*_):
    raise RequestError("this takes too long")


def aimed(server):
    """What /openapi.json says, with chats and messages that are there: made-up ones would all be missing."""
    chats = [server.client.post("/app/api/chats", json={}).json()["chat"]["id"] for _ in range(2)]
    for chat in chats:
        server.client.post(f"/app/api/chats/{chat}/messages", json={"text": "Hi?"})
    schema = server.client.get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        for each in operations.values():
            for parameter in each.get("parameters", ()):
                if path.startswith("/app/api/chats/") and parameter["name"] in ("id", "node"):
                    parameter["schema"] = {"enum": chats if parameter["name"] == "id" else [1, 2, 3, 4, 99]}
    return schema


@pytest.mark.parametrize("examples", [5, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_no_request_meets_a_bug(examples, tmp_path, monkeypatch):
    monkeypatch.setenv("GADFLY_HOME", str(tmp_path))
    service = service_for(ScriptedAnswers(HELLO))
    service.workshop = Workshop(tmp_path, str, ("true",), most=3)
    for place in ("material", "workshop"):
        monkeypatch.setattr(f"gadfly.server.workshop.{place}.ask", too_long)  # processes of their own take a second
    with serving(service, chat_app=chat_app_for(service, tmp_path)) as server:
        schema = schemathesis.openapi.from_dict(aimed(server))
        operations = [found.ok() for found in schema.get_all_operations()]
        assert len(operations) > 50
        seen = set()
        for operation in operations:
            cases = [operation.as_strategy(generation_mode=mode) for mode in MODES]

            @settings(
                max_examples=examples,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                derandomize=True,
                database=None,
            )
            @given(st.one_of(cases))
            def ask(case):
                answer = case.call(base_url=server.url, headers={"connection": "close"}, timeout=30)
                seen.add(answer.status_code)
                assert answer.status_code < 500 or answer.status_code in MEANT, (case.as_curl_command(), answer.text)
                assert answer.headers["x-request-id"]

            ask()
        assert {200, 400, 404} <= seen
        assert server.client.get("/health/live").status_code == 200
        assert not [line for line in server.lines.text if "Traceback" in line]
