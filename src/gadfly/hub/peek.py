"""A few bytes out of the middle of a file on a server, to know what it is before all of it is fetched."""

import httpx2

from gadfly.errors import DownloadError
from gadfly.hub.connection import Connection
from gadfly.hub.sources import Address

__all__ = ["peek"]


def peek(url: str, start: int, size: int, connection: Connection, token: str | None = None) -> bytes:
    """Exactly `size` bytes from byte `start` on. Raises DownloadError if the server does not send them."""
    shown = str(Address(url))
    body = bytearray()
    with connection.get(url, {"Range": f"bytes={start}-{start + size - 1}"}, token) as response:
        if response.status_code not in (200, 206):
            raise DownloadError(f"{shown} answers with status {response.status_code}")
        skip = start if response.status_code == 200 else 0  # this server sends everything
        try:
            for chunk in response.iter_raw():
                body += chunk[skip:]
                skip = max(skip - len(chunk), 0)
                if len(body) >= size:
                    break
        except httpx2.TransportError as error:
            raise DownloadError(f"{shown}: the connection dropped ({error}); try again") from error
    if len(body) < size:
        raise DownloadError(f"{shown} ends before byte {start + size}; it is another file")
    return bytes(body[:size])
