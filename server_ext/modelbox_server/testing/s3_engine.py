"""Services that speak the protocol of S3, for tests.

The one that ``MODELBOX_TEST_S3_URL`` names, with credentials where they are needed (``http://ACCESS:SECRET@host:port``), or moto on a free
loopback port, which knows everything but trusts everybody; and rclone, which knows little, but looks at signatures.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from modelbox_server.storage.blobs.s3_settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.storage.blobs.s3_connection import S3Connection

__all__ = ["S3Engine", "rclone_engine", "s3_engine"]

_numbers = count(1)
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class S3Engine:
    """Where the service is."""

    settings: S3Settings
    """Of no bucket yet."""
    name: str
    """``moto``, ``rclone``, or the address that the environment gave."""
    _connection: S3Connection = field(repr=False)

    @property
    def client(self) -> Any:
        """A boto3 client of the service."""
        return self._connection.client

    @contextmanager
    def bucket(self, **changes: Any) -> Iterator[S3Settings]:
        """Make a bucket that goes, with everything in it, when the block ends; `changes` replace fields of its settings."""
        settings = replace(self.settings, bucket=f"modelbox-test-{os.getpid()}-{next(_numbers)}", **changes)
        client = self.client
        client.create_bucket(Bucket=settings.bucket)
        try:
            yield settings
        finally:
            with suppress(client.exceptions.NoSuchUpload):  # some services say so of an empty list
                for upload in client.list_multipart_uploads(Bucket=settings.bucket).get("Uploads", []):
                    client.abort_multipart_upload(Bucket=settings.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=settings.bucket):
                for found in page.get("Contents", []):
                    client.delete_object(Bucket=settings.bucket, Key=found["Key"])
            client.delete_bucket(Bucket=settings.bucket)


@contextmanager
def s3_engine(port: int = 0) -> Iterator[S3Engine]:
    """Return the service until the block ends.

    Parameters
    ----------
    port
        Of moto; the same port again stands for a service that comes back, empty.
    """
    from modelbox_server.storage.blobs.s3_connection import S3Connection

    given = os.environ.get("MODELBOX_TEST_S3_URL")
    if given:
        parts = urlsplit(given)
        where = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        settings = _settings(where, unquote(parts.username or "test"), unquote(parts.password or "test"))
        yield S3Engine(settings, where, S3Connection(settings))
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        found, at = server.get_host_and_port()
        settings = _settings(f"http://{found}:{at}", "test", "test")
        yield S3Engine(settings, "moto", S3Connection(settings))
    finally:
        server.stop()


def _settings(where: str, access_key: str, secret_key: str) -> S3Settings:
    return S3Settings("", endpoint_url=where, path_style=True, access_key=access_key, secret_key=secret_key)


@contextmanager
def rclone_engine(folder: Path) -> Iterator[S3Engine | None]:
    """Return rclone as a service over `folder` until the block ends; ``None`` where it is not installed."""
    from modelbox_server.storage.blobs.s3_connection import S3Connection

    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    command = [program, "serve", "s3", "--auth-key", "test,hunter2", "--addr", f"127.0.0.1:{port}", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"HOME": str(folder)})  # noqa: S603
    try:
        _wait_for(port)
        settings = _settings(f"http://127.0.0.1:{port}", "test", "hunter2")
        yield S3Engine(settings, "rclone", S3Connection(settings))
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.05)
