"""What has to be known of a bucket to use it; without boto3, which takes a while to load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["S3Settings"]


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Which bucket, where, and how; secrets do not show in its ``repr``.

    Parameters
    ----------
    bucket, region
        The bucket, and the region it lies in.
    prefix
        What every key begins with: several stores may share one bucket.
    endpoint_url
        Of a service that is not Amazon's.
    path_style
        Name the bucket in the path instead of the host name, as most services of one's own want it.
    access_key, secret_key
        Credentials; where there are none, boto3 looks into the environment, its own files and the machine's role.
    sse, sse_kms_key
        Encryption at rest (``AES256`` or ``aws:kms``), and the key for the latter.
    checksums
        ``when_supported`` lets S3 check what arrives once more; ``when_required`` is for services that do not know these headers.
    part_bytes
        Size of the parts of large contents; the memory of an upload is some three of them.
    presign
        Let clients transfer large contents to and from the bucket by themselves.
    """

    bucket: str
    region: str = "us-east-1"
    prefix: str = ""
    endpoint_url: str | None = None
    path_style: bool = False
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    sse: str | None = None
    sse_kms_key: str | None = field(default=None, repr=False)
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    part_bytes: int = 8 << 20
    presign: bool = False

    @property
    def encryption(self) -> dict[str, str]:
        """Parameters of every call that writes an object."""
        if self.sse is None:
            return {}
        return {"ServerSideEncryption": self.sse, **({"SSEKMSKeyId": self.sse_kms_key} if self.sse_kms_key else {})}

    @property
    def part_checksums(self) -> dict[str, str]:
        """Parameters of calls that begin an upload in parts: which checksum boto3 is going to send with each part."""
        return {"ChecksumAlgorithm": "CRC32"} if self.checksums == "when_supported" else {}
