"""The file: one connection that writes, as many as are needed that read, and errors in words.

Writers of one process queue at a lock, writers of several at SQLite's own. A reader sees the state of the moment it
began and waits for nobody (WAL). A transaction that has ended is on the disk (`synchronous=FULL`), and what is deleted
is overwritten (`secure_delete`).
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, LifoQueue
from threading import RLock

from gadfly.chat.store.schema import MIGRATIONS, migrate
from gadfly.chat.store.words import spaced
from gadfly.errors import BusyError, CapacityError, NotFoundError, RequestError, StoreError

__all__ = ["Database"]

WAIT_SECONDS = 20.0  # for another process that writes


class Database:
    """See the module. Raises StoreError if the file is no store of ours, is damaged or of a later Gadfly."""

    def __init__(self, path: Path | str, migrations: Sequence[str] = MIGRATIONS) -> None:
        self.path = Path(path).absolute()
        self._lock = RLock()
        self._closed = False
        self._readers: LifoQueue[sqlite3.Connection] = LifoQueue()
        with self._explained():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # what one says is private
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                self._migrate(migrations)
                self._watch = self._connect()  # looks on: its data_version counts the commits of all others
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Transactions under way are finished first."""
        with self._lock:
            self._closed = True
            self._writer.close()
            self._watch.close()
        with suppress(Empty):
            while True:
                self._readers.get_nowait().close()

    def changes(self) -> int:
        """A number that is another one after anybody, in whatever process, has changed anything."""
        with self._lock, self._explained():
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write: all of it is kept, or nothing if an exception leaves the block."""
        with self._lock, self._explained():
            if self._writer.in_transaction:  # a method that calls another
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # some errors have ended it already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A look at one state of the file, whatever is written meanwhile."""
        with self._explained():
            if self._closed:
                raise sqlite3.ProgrammingError
            try:
                connection = self._readers.get_nowait()
            except Empty:
                connection = self._connect()
                connection.execute("PRAGMA query_only = ON")
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.close() if self._closed else self._readers.put(connection)

    def _migrate(self, migrations: Sequence[str]) -> None:
        try:
            migrate(self._writer, migrations)
        except StoreError as error:
            raise StoreError(f"{self.path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.create_function("spaced", 1, spaced, deterministic=True)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "trusted_schema = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite and the disk refuse, as errors about our file."""
        try:
            yield
        except UnicodeEncodeError as error:
            raise RequestError("the text is no valid Unicode: it has half a character in it") from error
        except OverflowError as error:
            raise NotFoundError("there is nothing of that number") from error
        except sqlite3.ProgrammingError as error:
            if not self._closed:
                raise
            raise StoreError(f"{self.path} has been closed") from error
        except sqlite3.DataError as error:
            raise RequestError(f"{self.path}: {error}; the text is too large") from error
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        except OSError as error:
            place = error.filename or self.path
            raise StoreError(f"{place}: {error.strerror}; choose a folder you can write to (GADFLY_HOME)") from error

    def _failure(self, error: sqlite3.DatabaseError) -> Exception:
        match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
            case sqlite3.SQLITE_FULL:
                return CapacityError(f"{self.path}: the disk is full; make room, nothing that was kept is lost")
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return BusyError(f"{self.path} is being written by another program; try again")
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return StoreError(
                    f"{self.path} is damaged ({error}); gadfly chats check says how, a backup replaces it"
                )
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM:
                return StoreError(f"{self.path}: {error}; choose a folder you can write to (GADFLY_HOME)")
            case sqlite3.SQLITE_TOOBIG:
                return RequestError("the text is too large to be kept")
        return error  # a bug
