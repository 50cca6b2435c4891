"""Every way in which a transfer can go wrong ends in the whole file or in a one-line error that keeps what is good."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gadfly.errors import CapacityError, DownloadError, SettingsError
from gadfly.hub.check import check_file
from gadfly.hub.connection import Connection, NoAnswer, Patience
from gadfly.hub.download import download
from gadfly.hub.progress import Silent
from hub_server import HubServer, Served, gguf

BODY = gguf(300_000)
SHA256 = sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with Connection(Patience(answer=5.0, stall=5.0, attempts=4, pause=0.0)) as connection:
        yield connection


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


@pytest.fixture(autouse=True)
def file(hub: HubServer) -> Served:
    hub.files["/model.gguf"] = file = Served(BODY)
    return file


def part(target: Path) -> Path:
    return target.with_name("model.gguf.part")


def only(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == ["model.gguf"]


def test_a_file_arrives_whole_and_alone(hub, connection, target, recorder):
    found = download(f"{hub.address}/model.gguf", target, connection, recorder, size=len(BODY), sha256=SHA256)
    assert target.read_bytes() == BODY and only(target)
    assert (found.size, found.sha256) == (len(BODY), SHA256)
    assert recorder.seen[-1] == (len(BODY), len(BODY))
    assert check_file(target, Silent()) == found


@pytest.mark.parametrize("known", [{}, {"size": len(BODY)}, {"sha256": SHA256}])
def test_what_is_not_known_is_taken_from_the_server(hub, connection, target, known):
    found = download(f"{hub.address}/model.gguf", target, connection, Silent(), **known)
    assert (found.size, found.sha256) == (len(BODY), SHA256)


def test_dropped_connections_are_continued(hub, file, connection, target):
    file.drop_after = [100_000, 70_000, 70_000]
    download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    ranges = hub.ranges("/model.gguf")
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) for r in ranges if r]
    assert ranges[0] is None and starts == [100_000, 170_000, 240_000]
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("tags", [{"etag": None}, {"etag": 'W/"weak"'}, {"ranges": False}])
def test_without_a_promise_of_the_same_bytes_a_drop_starts_over(hub, file, connection, target, tags):
    for name, value in tags.items():
        setattr(file, name, value)
    file.drop_after = [100_000]
    download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert target.read_bytes() == BODY
    assert hub.ranges("/model.gguf") == ([None, "bytes=100000-"] if "ranges" in tags else [None, None])


def test_a_date_is_as_good_as_a_tag(hub, file, connection, target):
    file.etag, file.modified, file.drop_after = None, "Mon, 02 Nov 2026 10:00:00 GMT", [100_000]
    download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert hub.requests[-1].headers["if-range"] == file.modified
    assert target.read_bytes() == BODY


def test_a_file_that_changed_meanwhile_is_not_mixed(hub, file, connection, target):
    file.drop_after = [100_000] + [0] * 9
    with pytest.raises(DownloadError, match="4 times in a row"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert part(target).read_bytes() == BODY[:100_000]
    other = gguf(200_000, seed=1)
    hub.files["/model.gguf"] = Served(other, etag='"two"')
    download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert hub.requests[-1].headers["if-range"] == '"one"'
    assert target.read_bytes() == other and only(target)


def test_a_part_of_another_address_is_continued_only_if_the_checksum_is_known(hub, file, connection, target):
    file.drop_after = [100_000] + [0] * 9
    with pytest.raises(DownloadError):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    kept = part(target).stat().st_size
    assert kept == 100_000
    hub.files["/mirror.gguf"] = Served(BODY, etag='"mirror"')
    download(f"{hub.address}/mirror.gguf", target, connection, Silent(), sha256=SHA256)
    assert hub.ranges("/mirror.gguf") == [f"bytes={kept}-"]
    assert "if-range" not in hub.requests[-1].headers
    assert target.read_bytes() == BODY


def test_a_part_without_its_label_is_not_trusted(hub, connection, target):
    part(target).write_bytes(b"GGUF" + bytes(1000))
    download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    assert hub.ranges("/model.gguf") == [None]
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("label", [b"", b"{", b"[]", b'{"sha256": 7}', b"\xff", b"[" * 100_000])
def test_a_damaged_label_means_starting_over(hub, connection, target, label):
    part(target).write_bytes(BODY[:1000])
    target.with_name("model.gguf.part.json").write_bytes(label)
    download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    assert target.read_bytes() == BODY


def test_a_part_with_wrong_bytes_is_found_out_and_fetched_again(hub, connection, target, recorder):
    part(target).write_bytes(b"GGUF" + bytes(1000))
    label = {"url": f"{hub.address}/model.gguf", "tag": '"one"', "sha256": SHA256}
    target.with_name("model.gguf.part.json").write_text(json.dumps(label))
    download(f"{hub.address}/model.gguf", target, connection, recorder, sha256=SHA256)
    assert hub.ranges("/model.gguf") == ["bytes=1004-", None]
    assert target.read_bytes() == BODY
    assert any("starting over" in note for note in recorder.notes)


@pytest.mark.parametrize("known", [{"sha256": SHA256}, {}])
def test_a_part_that_was_whole_already_only_has_to_be_moved(hub, connection, target, known):
    part(target).write_bytes(BODY)
    label = {"url": f"{hub.address}/model.gguf", "tag": '"one"', "sha256": known.get("sha256")}
    target.with_name("model.gguf.part.json").write_text(json.dumps(label))
    download(f"{hub.address}/model.gguf", target, connection, Silent(), **known)
    assert hub.ranges("/model.gguf") == ["bytes=300000-"], "answered by 416, and that is all"
    assert target.read_bytes() == BODY and only(target)


def test_a_wrong_checksum_leaves_nothing(hub, connection, target):
    with pytest.raises(DownloadError, match=f"sha256 is {SHA256}, expected {'0' * 64}"):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256="0" * 64)
    assert not list(target.parent.iterdir())


def test_a_length_other_than_expected_is_refused_before_anything_is_written(hub, connection, target):
    with pytest.raises(DownloadError, match="has 300000 bytes where 300001 are expected"):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), size=len(BODY) + 1)
    assert not list(target.parent.iterdir())


def test_another_file_under_the_same_address_does_not_cost_what_is_here(hub, file, connection, target):
    file.drop_after = [100_000] + [0] * 9
    with pytest.raises(DownloadError):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), size=len(BODY), sha256=SHA256)
    kept = part(target).read_bytes()
    hub.files["/model.gguf"] = Served(BODY[:-1], etag='"two"')
    with pytest.raises(DownloadError, match="another file"):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), size=len(BODY), sha256=SHA256)
    assert part(target).read_bytes() == kept


def test_a_body_shorter_than_its_length_is_an_error_after_some_attempts(hub, file, connection, target):
    file.length, file.ranges = 400_000, False
    with pytest.raises(DownloadError, match="4 times in a row; what has arrived \\(300 kB\\) is kept"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert not target.exists() and part(target).read_bytes() == BODY


def test_a_server_that_goes_back_and_forth_is_given_up(hub, file, connection, target):
    file.ranges, file.drop_after = False, [100_000, 200_000] * 50
    with pytest.raises(DownloadError, match="in a row"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert len(file.drop_after) > 80


def test_more_than_expected_is_cut_off(hub, file, connection, target):
    file.unknown_length = True
    with pytest.raises(DownloadError, match="sends more than the 1000 bytes"):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), size=1000)
    assert not target.exists()


def test_a_server_that_states_no_length_is_fine(hub, file, connection, target, recorder):
    file.unknown_length = True
    assert download(f"{hub.address}/model.gguf", target, connection, recorder).sha256 == SHA256
    assert recorder.seen[-1] == (len(BODY), None)


@pytest.mark.parametrize("body", [b"<!doctype html>", b"", b"GG"])
def test_what_is_no_model_is_refused_at_once(hub, file, connection, target, body):
    file.body = body
    with pytest.raises(DownloadError, match="is not a GGUF file"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert not target.exists()


@pytest.mark.parametrize(
    ("status", "words"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "does not exist"), (400, "status 400")]
)
def test_refusals_are_final_and_say_what_to_do(hub, file, connection, target, status, words):
    file.status = status
    with pytest.raises(DownloadError, match=words):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert len(hub.requests) == 1


def test_an_overloaded_server_is_asked_again(hub, file, connection, target):
    file.status, file.status_times, file.headers = 503, 1, {"Retry-After": "0"}
    download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    assert target.read_bytes() == BODY


def test_an_overloaded_server_is_not_asked_for_ever(hub, file, connection, target):
    file.status = 503
    with pytest.raises(DownloadError, match="the server says 503, 2 times in a row"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())


def test_compressed_bodies_are_refused(hub, file, connection, target):
    file.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DownloadError, match="Content-Encoding 'gzip'"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())


def test_secrets_in_an_address_are_neither_shown_nor_kept(hub, file, connection, target):
    file.drop_after = [100_000] + [0] * 9
    url = f"{hub.address}/model.gguf?key=secret".replace("//", "//me:secret@")
    with pytest.raises(DownloadError) as caught:
        download(url, target, connection, Silent())
    assert "secret" not in str(caught.value)
    assert "secret" not in target.with_name("model.gguf.part.json").read_text()


def test_a_disk_without_room_is_seen_before_anything_is_written(hub, connection, target, monkeypatch):
    usage = shutil.disk_usage(target.parent)._replace(free=16_200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(CapacityError, match=r"16\.2 MB free and 300 kB more are needed"):
        download(f"{hub.address}/model.gguf", target, connection, Silent())
    assert not list(target.parent.iterdir())


def test_a_folder_that_cannot_be_written_is_a_setting_to_change(hub, connection, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="GADFLY_HOME"):
        download(f"{hub.address}/model.gguf", tmp_path / "file" / "model.gguf", connection, Silent())


def test_nobody_there(connection, target):
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1 cannot be reached"):
        download("http://127.0.0.1:9/model.gguf", target, connection, Silent())


def test_a_server_that_never_answers_is_given_up(hub, file, target):
    file.silent = True
    with (
        Connection(Patience(answer=0.05)) as connection,
        pytest.raises(NoAnswer, match=r"did not answer within 0.05 s"),
    ):
        download(f"{hub.address}/model.gguf", target, connection, Silent())


def test_a_server_that_goes_quiet_counts_as_dropped(hub, file, target):
    file.hold_after = 100_000
    patience = Patience(answer=5, stall=0.05, attempts=2, pause=0)
    with Connection(patience) as connection, pytest.raises(DownloadError, match="the connection dropped"):
        download(f"{hub.address}/model.gguf", target, connection, Silent(), sha256=SHA256)
    assert part(target).stat().st_size == 100_000
