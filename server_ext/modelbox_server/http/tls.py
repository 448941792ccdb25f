"""TLS of a server that stands alone: its certificate and key, from two PEM files."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["certificate_digest", "server_context"]

# Whoever speaks both, as browsers do, means HTTP/1.1 here: HTTP/2 is gRPC alone, whose clients offer nothing else.
_PROTOCOLS = ["http/1.1", "h2"]


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what is needed to answer as the owner of a certificate.

    Parameters
    ----------
    certificate, key
        PEM files: the certificate, with those of its authorities behind it where clients need them, and its private key.

    Raises
    ------
    ConfigError
        A file is not there, is not what it should be, or the two do not belong together.
    """
    text = _read(certificate, "tls_cert")
    _read(key, "tls_key")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise ConfigError(f"tls_cert: {certificate} has no certificate in it, give a PEM file with 'BEGIN CERTIFICATE'.", field="tls_cert")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(_PROTOCOLS)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Encrypted:
        raise ConfigError(
            f"tls_key: {key} is encrypted, and nobody is here to type its password: give a key without one.", field="tls_key"
        ) from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"tls_key: {key} is not the key of the certificate {certificate}, give the two that belong together.", field="tls_key"
            ) from None
        why = error.reason or "it is damaged"
        raise ConfigError(
            f"tls_cert, tls_key: {certificate} and {key} are no certificate and private key in PEM ({why}): make them again.",
            field="tls_key",
        ) from None
    return context


def certificate_digest(certificate: Path) -> str:
    """Return the SHA-256 of the certificate itself, the first of the file, by which clients of the same user know it."""
    import hashlib

    _, begin, rest = certificate.read_text(encoding="ascii", errors="replace").partition(ssl.PEM_HEADER)
    first = begin + rest.partition(ssl.PEM_FOOTER)[0] + ssl.PEM_FOOTER
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


class _Encrypted(Exception):
    """A private key wants a password."""


def _no_password() -> str:
    raise _Encrypted


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{setting}: {path} cannot be read ({error.strerror}), give a PEM file that this user may read.", field=setting
        ) from error
