"""Points that killed kernels left behind reach the store while Jupyter runs, without a command.

The journals are the client's, and so is the code that sends them: this module only sees that one waits, by its lock, and starts
``modelbox sync`` for the store. A process of its own cannot hold up Jupyter's event loop, whatever is in the journals.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from modelbox.settings import JOURNAL_LOCK, spool_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JournalWatch", "journal_waits"]

_logger = logging.getLogger("modelbox_server")
_INTERVAL_S = 5.0
_LONGEST_PAUSE_S = 300.0


def journal_waits(folder: Path) -> bool:
    """Tell whether `folder` holds a journal whose owner has ended."""
    if sys.platform == "win32":
        return False  # no journals there
    import fcntl

    for lock in folder.glob(f"[!.]*/{JOURNAL_LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            # Shared, and given back at once: whoever wants to send it is not in our way, nor we in theirs.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            continue
        finally:
            os.close(descriptor)
        return True
    return False


class JournalWatch:
    """Looks for journals of a store that wait, at the start and every few seconds, and has them sent.

    Parameters
    ----------
    store
        Folder of the store, or address of the server.
    address
        By what ``modelbox sync`` finds it, where that is not `store`.
    interval_s
        How often to look.
    """

    def __init__(self, store: Path | str, *, address: str = "", interval_s: float = _INTERVAL_S) -> None:
        self._store = store
        self._address = address or str(store)
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End, and end the process that is sending: what it has not sent stays where it is."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        pause_s = self._interval_s
        while True:
            if await self._one_waits():
                await self._send()
                # What cannot be sent now, such as a journal that cannot be read, is not tried all the time.
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) if await self._one_waits() else self._interval_s
            await asyncio.sleep(pause_s)

    async def _one_waits(self) -> bool:
        return await asyncio.to_thread(journal_waits, spool_folder(str(self._store)))

    async def _send(self) -> None:
        command = [sys.executable, "-m", "modelbox.cli.main", "sync", "--address", self._address]
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said, _ = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        text = said.decode(errors="replace").strip()
        (_logger.info if process.returncode == 0 else _logger.warning)("modelbox sync: %s", text)
