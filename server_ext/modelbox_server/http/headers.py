"""Reading and writing the HTTP headers that carry meaning here: ranges, entity tags, digests, file names and media types."""

import base64
import binascii
import re
from urllib.parse import quote

from modelbox.errors import InvalidRequest, RangeNotSatisfiable, shortened

__all__ = [
    "attachment",
    "byte_range",
    "etag_matches",
    "media_type",
    "prefers",
    "safe_image_type",
    "sha256_of_digest",
]

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_SHA256_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):")
_ATTR_CHARS = "!#$&+-.^_`|~"
_MAGIC = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}


def media_type(header: str) -> str:
    """Return the media type of a Content-Type header in lower case, without its parameters."""
    return header.partition(";")[0].strip().lower()


def prefers(accept: str, wanted: str, default: str) -> bool:
    """Tell whether an Accept header asks for `wanted` rather than for `default`, which also serves whoever does not say.

    `wanted` has to be named in full: wildcards mean the default.
    """
    quality = dict(_accepted(accept))
    return quality.get(wanted, 0.0) > 0 and quality[wanted] >= quality.get(default, 0.0)


def _accepted(accept: str) -> list[tuple[str, float]]:
    accepted = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        # A malformed weight counts as none: the default is always a good answer.
        accepted.append((name, float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0))
    return accepted


def byte_range(header: str, size_bytes: int) -> tuple[int, int]:
    """Return (start, stop) of the one range that a Range header asks for.

    Raises
    ------
    RangeNotSatisfiable
        It asks for several ranges, for bytes beyond the end, or cannot be understood.
    """
    match = _RANGE.fullmatch(header.strip().replace(" ", ""))
    if match is None or match.group(1, 2) == ("", ""):
        raise RangeNotSatisfiable(f"The Range {shortened(header)} is not one range of bytes: write it as 'bytes=START-END'.", field="Range")
    first, last = match.group(1, 2)
    if not first:
        start, stop = max(size_bytes - int(last), 0), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if start >= stop or (first and last and int(last) < int(first)):
        raise RangeNotSatisfiable(f"The Range {shortened(header)} lies outside the content of {size_bytes} bytes.", field="Range")
    return start, stop


def etag_matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names `etag` (given with its quotes); weak tags compare as strong ones."""
    return header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))


def sha256_of_digest(header: str) -> str | None:
    """Return the SHA-256 of a Content-Digest header (RFC 9530) in hex; ``None`` when it has no such digest.

    Raises
    ------
    InvalidRequest
        It has one, but not of 32 bytes.
    """
    match = _SHA256_DIGEST.search(header)
    if match is None:
        return None
    try:
        digest = base64.b64decode(match.group(1), validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise InvalidRequest(f"The Content-Digest {shortened(header)} is no SHA-256: write 'sha-256=:BASE64:'.", field="Content-Digest")
    return digest.hex()


def attachment(name: str) -> str:
    """Return a Content-Disposition (RFC 6266) that saves the content under the last part of `name`."""
    label = name.rpartition("/")[2]
    plain = re.sub(r'[^ -~]|["\\%]', "_", label)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(label, safe=_ATTR_CHARS)}"


def safe_image_type(declared: str, head: bytes) -> str | None:
    """Return the media type `declared` when it is a bitmap that cannot carry script and the first bytes agree; else ``None``."""
    kind = media_type(declared)
    magic = _MAGIC.get(kind)
    return kind if magic is not None and magic.match(head) else None
