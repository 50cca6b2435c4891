"""A workshop in which another program takes the place of training."""

import sys

import pytest

from gadfly.api.openai_files import Upload
from gadfly.errors import NotFoundError
from gadfly.server.workshop.workshop import Workshop

DONE = "import os; os.mkdir('adapter'); open('adapter/adapter_config.json', 'w').write('{}')"
ILL = "import sys; sys.exit('gadfly: there is nothing to learn')"
LONG = "import sys; sys.stdin.read(); raise SystemExit(130)"  # until it is told to stop
LINE = b'{"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Bzz."}]}\n'


def base(name):
    if name != "smollm2":
        raise NotFoundError(f"there is no model {name}")
    return name


@pytest.fixture
def opened(tmp_path):
    """Workshops on one home, that run a program; all are closed in the end."""
    found = []

    def workshop(program, **options):
        found.append(Workshop(tmp_path, base, (sys.executable, "-c", program), **options))
        found[-1].start()
        return found[-1]

    yield workshop
    for one in found:
        one.close()


@pytest.fixture
def file(tmp_path):
    return Workshop(tmp_path, base).uploads.add("", Upload("x.jsonl", LINE)).id
