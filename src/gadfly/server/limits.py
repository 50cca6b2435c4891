"""What a client may cost: sizes, times and numbers, all in one value so that a test can make them small."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Sizes are bytes, times are seconds. The queue of requests is the engine's, see `gadfly.engine`."""

    body: int = 8 << 20
    upload: int = 32 << 20  # of a file that is added to a chat
    imported: int = 512 << 20  # of chats from elsewhere
    training: int = 128 << 20  # of a file to learn from
    nesting: int = 64  # lists and objects inside each other
    head: int = 32 << 10  # request line and headers
    headers: int = 100
    connections: int = 2000
    pipelined: int = 16  # requests that wait for the one before them on their connection
    arrival: float = 30.0  # for a request to arrive, whole
    stall: float = 30.0  # for a client to take anything of an answer that waits for it
    idle: float = 75.0  # for a connection that is kept open without a request
    heartbeat: float = 15.0  # between signs of life in a stream
    grace: float = 30.0  # for answers under way when the server is asked to end
    conversations: int = 1000  # that `previous_response_id` can continue
    conversation_bytes: int = 64 << 20  # all of them together
