"""ModelBox's server on a free port over a local store: prints its address and token as JSON, and serves until its standard input ends."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from modelbox_server.standalone import StandaloneServer, serve
from modelbox_server.wiring import local_services


def _tell_when_ready(server: StandaloneServer) -> None:
    """Print where it is once its stores are open: what a server does in its first second is no part of any row."""
    while True:
        try:
            urlopen(f"{server.url}/readyz", timeout=30).close()  # noqa: S310  # loopback
            break
        except HTTPError:
            time.sleep(0.02)
    print(json.dumps({"address": server.url, "token": server.token}), flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def _on_start(server: StandaloneServer) -> None:
    threading.Thread(target=_tell_when_ready, args=(server,), daemon=True).start()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(StandaloneServer(lambda: local_services(folder / "store"), port=0, runtime_folder=folder / "servers"), on_start=_on_start)
