"""Files in the form that OpenAI's client sends, and in words that it understands."""

import pytest
from openai.types import FileObject

from gadfly.api.openai_files import FileFacts, file_deleted, file_list, file_object, read_upload
from gadfly.errors import RequestError

LINES = b'{"messages": []}\r\n\n--not a boundary\n'
FORM = 'multipart/form-data; boundary="b c"'


def part(head, content):
    return b"--b c\r\ncontent-disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"


PURPOSE = part(b'name="purpose"', b"fine-tune")
FILE = part(b'name="file"; filename="../../x.jsonl"', LINES)


def test_the_form_is_read_to_the_byte_and_a_path_is_but_a_name():
    upload = read_upload(PURPOSE + FILE + b"--b c--\r\n", FORM)
    assert upload.data == LINES
    assert upload.filename == "../../x.jsonl"


@pytest.mark.parametrize(
    ("body", "form", "message"),
    [
        (b"", FORM, "cut off"),
        (PURPOSE + FILE, FORM, "cut off"),
        (PURPOSE * 30 + FILE + b"--b c--", FORM, "more than 20 parts"),
        (PURPOSE + b"--b c--", FORM, "file is missing"),
        (FILE + b"--b c--", FORM, "purpose is missing"),
        (part(b'name="purpose"', b"batch") + FILE + b"--b c--", FORM, "purpose is 'batch'"),
        (part(b'name="purpose"', b"\xff") + FILE + b"--b c--", FORM, "not UTF-8"),
        (part(b"nothing", b"x") + b"--b c--", FORM, "has no name"),
        (PURPOSE + part(b'name="file"', b" \n") + b"--b c--", FORM, "file is empty"),
        (PURPOSE + FILE + b"--b c--", "application/json", "multipart"),
    ],
)
def test_what_is_no_such_form_is_refused(body, form, message):
    with pytest.raises(RequestError, match=message):
        read_upload(body, form)


def test_words_are_those_of_the_client():
    facts = FileFacts("file-1", "x.jsonl", 3, 7)
    assert FileObject.model_validate(file_object(facts), strict=True).bytes == 3
    assert file_list([facts])["data"] == [file_object(facts)]
    assert file_list([])["first_id"] is None
    assert file_deleted("file-1")["deleted"] is True
