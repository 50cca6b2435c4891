"""Files seen from outside."""

from hashlib import sha256

import pytest

from gadfly.errors import ModelFileError
from gadfly.hub.check import Checked, check_file
from gadfly.hub.progress import Silent
from hub_server import gguf


def test_size_and_checksum(tmp_path, recorder):
    body = gguf(3_000_000)
    (tmp_path / "file").write_bytes(body)
    assert check_file(tmp_path / "file", recorder) == Checked(len(body), sha256(body).hexdigest())
    assert recorder.seen[-1] == (len(body), len(body))


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\3\4 and so on"])
def test_own_files_that_are_no_models(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        check_file(tmp_path / "file", Silent())
    with pytest.raises(ModelFileError, match="cannot be read"):
        check_file(tmp_path, Silent())
