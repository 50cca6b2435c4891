"""The hub's lists, honest and hostile, and the choice of a file among many."""

import json
from contextlib import contextmanager

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadfly.errors import DownloadError, GadflyError, NotFoundError, SettingsError
from gadfly.hub.connection import Connection, Patience
from gadfly.hub.hugging_face import HubEntry, HuggingFace, Listing, choose
from gadfly.hub.sources import HubFile
from hub_server import COMMIT, Served, gguf

FILES = [
    "model-Q4_K_M.gguf",
    "model-Q8_0.gguf",
    "model-IQ4_XS.gguf",
    "mmproj-model-f16.gguf",
    "sub/model.imatrix.gguf",
    "BF16/model-BF16-00001-of-00002.gguf",
    "BF16/model-BF16-00002-of-00002.gguf",
    "torn-Q4_0-00001-of-00003.gguf",
    "torn-Q4_0-00003-of-00003.gguf",
]


def listing(*files: str) -> Listing:
    return Listing("owner/model", "main", None, tuple(HubEntry(file, 1, None) for file in files))


def names(entries: tuple[HubEntry, ...]) -> list[str]:
    return [entry.file for entry in entries]


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        ("", "model-Q4_K_M.gguf"),
        ("q8_0", "model-Q8_0.gguf"),
        ("iq4_xs", "model-IQ4_XS.gguf"),
        ("model-q8_0.gguf", "model-Q8_0.gguf"),
        ("model-Q8_0", "model-Q8_0.gguf"),
    ],
)
def test_a_file_is_chosen_by_quantisation_or_name(wanted, file):
    assert names(choose(listing(*FILES), wanted)) == [file]


@pytest.mark.parametrize("wanted", ["BF16", "bf16/", "BF16/model-BF16-00001-of-00002.gguf"])
def test_a_split_file_is_all_its_parts(wanted):
    if wanted == "bf16/":
        with pytest.raises(NotFoundError):
            choose(listing(*FILES), wanted)
    else:
        assert names(choose(listing(*FILES), wanted)) == FILES[5:7]


def test_a_split_file_with_a_part_missing_is_none():
    for parts in ((1, 3), (1, 2), (2, 3)):
        files = [f"torn-Q4_0-0000{part}-of-00003.gguf" for part in parts]
        with pytest.raises(NotFoundError):
            choose(listing(*files), "")


def test_the_only_file_is_the_one_whatever_it_is_called():
    assert names(choose(listing("a.gguf", "mmproj-a.gguf"), "")) == ["a.gguf"]


@pytest.mark.parametrize("wanted", ["", "Q4_K_M"])
def test_several_that_fit_are_listed(wanted):
    with pytest.raises(
        NotFoundError, match=r"several GGUF files; name one: gadfly pull owner/model:FILE \(a-Q4_K_M.*b-Q"
    ):
        choose(listing("a-Q4_K_M.gguf", "b-Q4_K_M.gguf", "c-Q8_0.gguf"), wanted)


def test_nothing_that_fits_lists_what_there_is():
    with pytest.raises(NotFoundError, match=r"no GGUF file called 'Q2_K'; name one.*model-Q8_0\.gguf"):
        choose(listing(*FILES), "Q2_K")
    with pytest.raises(NotFoundError, match="has no GGUF file"):
        choose(listing("mmproj-model.gguf"), "")


def test_a_listing_has_sizes_checksums_licence_and_commit(hub):
    body = gguf(100)
    hub.add_repository("owner/model", {"model.gguf": body}, licence="mit")
    with Connection(Patience()) as connection:
        found = HuggingFace(hub.address).listing("owner/model", "main", connection)
    assert (found.revision, found.licence) == (COMMIT, "MIT")
    assert [(entry.file, entry.size) for entry in found.entries] == [("model.gguf", 100)]


@pytest.mark.parametrize(("token", "error"), [(None, NotFoundError), ("wrong", NotFoundError), ("right", None)])
def test_private_repositories_need_the_token(hub, token, error):
    hub.add_repository("owner/model", {"model.gguf": gguf(100)})
    hub.files["/api/models/owner/model/revision/main"].needs_token = "right"
    with Connection(Patience()) as connection:
        if error is None:
            HuggingFace(hub.address, token).listing("owner/model", "main", connection)
            return
        with pytest.raises(error, match="HF_TOKEN") as caught:
            HuggingFace(hub.address, token).listing("owner/model", "main", connection)
        assert "wrong" not in str(caught.value)


def test_an_endless_list_is_cut_off(hub, monkeypatch):
    monkeypatch.setattr("gadfly.hub.hugging_face._LIST_LIMIT", 1000)
    hub.files["/api/models/owner/model/revision/main"] = Served(b" " * 100_000)
    with Connection(Patience()) as connection, pytest.raises(DownloadError, match="lists more than 1 kB"):
        HuggingFace(hub.address).listing("owner/model", "main", connection)


class Fixed:
    """A connection that always gets the same body."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    @contextmanager
    def get(self, url, **_):
        yield httpx2.Response(200, content=self.body, request=httpx2.Request("GET", url))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["siblings", "rfilename", "size", "lfs", "sha256", "tags", "sha"]), inner)
    ),
    max_leaves=20,
)


@given(body=st.binary(max_size=50) | json_values.map(lambda value: json.dumps(value).encode()))
def test_hostile_lists_are_errors(body):
    try:
        found = HuggingFace().listing("owner/model", "main", Fixed(body))
        choose(found, "")
    except GadflyError as error:
        assert "\n" not in str(error)


@given(
    entry=st.dictionaries(st.sampled_from(["rfilename", "size", "lfs"]), json_values | st.just("a.gguf"), min_size=1)
)
def test_hostile_entries_are_errors_or_entries(entry):
    body = json.dumps({"siblings": [entry, {"rfilename": "b.gguf", "size": 5}]}).encode()
    try:
        found = HuggingFace().listing("owner/model", "main", Fixed(body))
    except GadflyError:
        return
    for item in found.entries:
        assert item.file.endswith((".gguf", ".GGUF")) or item.file.lower().endswith(".gguf")
        assert item.size is None or item.size > 0


def test_addresses_are_quoted():
    hub = HuggingFace("https://mirror.example")
    address = hub.address(HubFile("owner/model", "a b/c?.gguf", "refs/pr/1"))
    assert address == "https://mirror.example/owner/model/resolve/refs%2Fpr%2F1/a%20b/c%3F.gguf"


def test_the_environment_names_hub_and_token():
    assert HuggingFace.from_environment({}) == HuggingFace("https://huggingface.co", None)
    environ = {"HF_ENDPOINT": "http://127.0.0.1:1/ ", "HF_TOKEN": " hf_abc\n"}
    assert HuggingFace.from_environment(environ) == HuggingFace("http://127.0.0.1:1", "hf_abc")
    assert "hf_abc" not in repr(HuggingFace.from_environment(environ))


@pytest.mark.parametrize("environ", [{"HF_ENDPOINT": "huggingface.co"}, {"HF_TOKEN": "hf abc"}, {"HF_TOKEN": "hf\x00"}])
def test_a_wrong_environment_is_a_settings_error_without_the_token(environ):
    with pytest.raises(SettingsError, match=next(iter(environ))) as caught:
        HuggingFace.from_environment(environ)
    assert "hf abc" not in str(caught.value)
