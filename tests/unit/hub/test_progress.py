import pytest

from gadfly.hub.progress import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (98_362_432, "98.4 MB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_055_609_536, "1.06 GB"),
        (320_000_000_000, "320 GB"),
        (1_200_000_000_000, "1.2 TB"),
    ],
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text
