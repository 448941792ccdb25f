"""A service that speaks the protocol of S3, for tests.

It is the one that ``MODELBOX_TEST_S3_URL`` names, with credentials where they are needed (``http://ACCESS:SECRET@host:port``), or moto on a
free loopback port, which knows everything but trusts everybody. :mod:`modelbox_server.testing.rclone` has another.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from modelbox_server.storage.blobs.s3_settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelbox_server.storage.blobs.s3_connection import S3Connection

__all__ = ["S3Engine", "endpoint_settings", "s3_engine"]

_numbers = count(1)


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
        settings = endpoint_settings(where, unquote(parts.username or "test"), unquote(parts.password or "test"))
        yield S3Engine(settings, where, S3Connection(settings))
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        found, at = server.get_host_and_port()
        settings = endpoint_settings(f"http://{found}:{at}", "test", "test")
        yield S3Engine(settings, "moto", S3Connection(settings))
    finally:
        server.stop()


def endpoint_settings(where: str, access_key: str, secret_key: str) -> S3Settings:
    """Return settings of no bucket yet at a service of one's own."""
    return S3Settings("", endpoint_url=where, path_style=True, access_key=access_key, secret_key=secret_key)
