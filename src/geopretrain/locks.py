"""One process at a time writes a folder, and whoever comes second learns who is at it.

The lock is one of the operating system, which releases it with the process, however that ends; a file beside
it names the owner. Where a disk knows no such locks the named owner alone counts.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from geopretrain.console import console
from geopretrain.errors import RunFolderError
from geopretrain.manifest import BOOKS, remove_if_empty

LOCK, OWNER = "lock", "owner.json"
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
_held: set[tuple[int, int, str]] = set()


@dataclass(frozen=True)
class Owner:
    """The process that writes a folder.

    Attributes:
        pid: its number.
        started: what tells it from a later process of the same number; empty where the system does not say.
        host: name of its machine.
        boot: changes whenever the machine starts; empty where the system does not say.
        command: as it was typed.
        since: local time.
    """

    pid: int
    started: str
    host: str
    boot: str
    command: str
    since: str

    def in_words(self) -> str:
        """Return who that is."""
        return f"process {self.pid} on {self.host} (`{self.command}`, since {self.since})"


def this_process() -> Owner:
    """Return this process as an owner."""
    program = Path(sys.argv[0] or "python").name.replace("__main__.py", "geopretrain")
    words = shlex.join([program, *sys.argv[1:]])
    shown = "".join(char if char.isprintable() else " " for char in words)
    return Owner(
        pid=os.getpid(),
        started=_started(os.getpid()),
        host=socket.gethostname(),
        boot=_read("/proc/sys/kernel/random/boot_id"),
        command=shown if len(shown) <= 120 else f"{shown[:117]}...",
        since=datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
    )


@contextmanager
def held(folder: Path, *, patience: float | None = 0) -> Iterator[None]:
    """Hold the lock of an existing folder; inside, the same thread may hold it again.

    Args:
        folder: what is going to be written.
        patience: seconds to wait for another process; None waits as long as it takes, and says so.

    Raises:
        RunFolderError: another process holds it, or did on a machine that cannot be asked.
        OSError: the folder cannot be written.
    """
    key = (os.getpid(), threading.get_ident(), os.path.realpath(folder))
    if key in _held:
        yield
        return
    release = _acquire(folder, patience)
    try:
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)
    finally:
        release()


def check_free(folder: Path) -> None:
    """Raise RunFolderError where another process holds the folder at this moment; leaves nothing behind."""
    if (folder / BOOKS).is_dir() and any((folder / BOOKS / name).exists() for name in (LOCK, OWNER)):
        with suppress(OSError), held(folder):
            pass


def holder(folder: Path) -> Owner | None:
    """Return who writes a folder at this moment, as far as can be read, taking no lock; None for nobody."""
    owner = _owner(folder / BOOKS / OWNER)
    return None if owner is None or _is_gone(owner) else owner


def _acquire(folder: Path, patience: float | None) -> Any:
    """Take the lock and return what gives it back."""
    from filelock import FileLock, Timeout

    place = folder / BOOKS
    lock = FileLock(place / LOCK, timeout=-1 if patience is None else patience, fallback_to_soft=False)
    for attempt in range(9):
        place.mkdir(exist_ok=True)
        try:
            if patience is None:
                _wait_in_words(lock, folder)
            lock.acquire()
            break
        except Timeout:
            raise _in_use(folder, _owner(place / OWNER)) from None
        except FileNotFoundError:  # its last owner tidied up in between
            if attempt == 8:
                raise
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return _claim(folder)

    def release() -> None:
        with suppress(OSError):
            (place / OWNER).unlink(missing_ok=True)
        with suppress(OSError):  # whoever had opened it sees that it is gone and opens another
            (place / LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            remove_if_empty(place)

    try:
        _refuse_if_elsewhere(folder, _owner(place / OWNER))
        _write_owner(place / OWNER, "w")
    except BaseException:
        lock.release()
        raise
    return release


def _wait_in_words(lock: Any, folder: Path) -> None:
    """Say who is waited for."""
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
        lock.release()
    except Timeout:
        owner = _owner(folder / BOOKS / OWNER)
        who = owner.in_words() if owner else "Another process"
        console.say(f"{who[0].upper()}{who[1:]} is writing {folder}; waiting for it.")


def _claim(folder: Path) -> Any:
    """Become the owner where the disk knows no locks; return what gives that up."""
    path = folder / BOOKS / OWNER
    try:
        _write_owner(path, "x")
    except FileExistsError:
        owner = _owner(path)
        if owner is None or not _is_gone(owner):
            raise _in_use(folder, owner, how=f" If it has ended, remove {path}.") from None
        _write_owner(path, "w")

    def release() -> None:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            remove_if_empty(path.parent)

    return release


def _write_owner(path: Path, mode: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(json.dumps(asdict(this_process())) + "\n")


def _owner(path: Path) -> Owner | None:
    """Return who is named in a file, None where nobody can be read in it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        words = {name: str(values[name]) for name in ("started", "host", "boot", "command", "since")}
        return Owner(pid=int(values["pid"]), **words)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refuse_if_elsewhere(folder: Path, owner: Owner | None) -> None:
    """Refuse a folder whose owner is on another machine: not every disk shares its locks between machines."""
    me = this_process()
    if owner is not None and owner.host != me.host and (owner.boot != me.boot or not me.boot):
        how = f" If it has ended, remove {folder / BOOKS / OWNER} and repeat the command."
        raise _in_use(folder, owner, how=f" That cannot be seen from {me.host}.{how}")


def _is_gone(owner: Owner) -> bool:
    """Return whether a process of this machine has ended for sure."""
    me = this_process()
    if owner.host != me.host:
        return False
    if owner.boot != me.boot:
        return True  # the machine was started anew
    if os.name == "nt":
        return False  # there is no question that does not end it
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started(owner.pid) != owner.started


def _in_use(folder: Path, owner: Owner | None, how: str = "") -> RunFolderError:
    who = owner.in_words() if owner else "another process"
    return RunFolderError(
        f"'{folder}' is being written by {who}. Nothing was changed: wait until it has ended, or choose "
        f"another folder.{how}"
    )


def _started(pid: int) -> str:
    """Return when a process started, in ticks of the machine, empty where the system does not say."""
    words = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
