"""Whom a client takes for the server of an ``https`` address, and what it says of everybody else."""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelbox.errors import ConfigError

if TYPE_CHECKING:
    from modelbox.client.address import ServerAddress

__all__ = ["Trust", "refusal_of"]

# Numbers of OpenSSL, X509_V_ERR_…
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN = frozenset({18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 63, 64})


@dataclass(frozen=True, slots=True)
class Trust:
    """What has to be known of a server before a token is sent to it.

    Parameters
    ----------
    ca_file
        PEM file of the authorities that may vouch for it, or of its own certificate, besides those that this machine trusts.
    certificate_sha256
        SHA-256 of its certificate, in hexadecimal, when that is known from the server itself; names and authorities do not matter then.
    """

    ca_file: str = ""
    certificate_sha256: str = ""

    def context(self) -> ssl.SSLContext:
        """Return what makes connections.

        Raises
        ------
        ConfigError
            The file is not there, or has no certificate in it.
        """
        context = ssl.create_default_context()
        if self.certificate_sha256:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # check() compares the certificate itself
        elif self.ca_file:
            try:
                context.load_verify_locations(os.path.expanduser(self.ca_file))  # noqa: PTH111  (OpenSSL wants a text)
            except ssl.SSLError as error:
                raise ConfigError(
                    f"The CA file {self.ca_file} has no certificate in it: give a PEM file with 'BEGIN CERTIFICATE'."
                ) from error
            except OSError as error:
                raise ConfigError(
                    f"The CA file {self.ca_file} cannot be read ({error.strerror}): check ca_file or MODELBOX_CA_FILE."
                ) from error
        return context

    def check(self, connection: ssl.SSLSocket) -> None:
        """Return if the other end has the certificate that it has to have.

        Raises
        ------
        OSError
            It has another one.
        """
        if not self.certificate_sha256:
            return
        found = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
        if not hmac.compare_digest(found, self.certificate_sha256):
            connection.close()
            raise ConnectionRefusedError(0, "its certificate is not the one that the server of this account left in its runtime file")


def refusal_of(address: ServerAddress, error: ssl.SSLError) -> str:
    """Return why a server is not believed, and what to do about it."""
    code = getattr(error, "verify_code", 0)
    if code in _UNKNOWN:
        return (
            f"The certificate of {address} is signed by nobody whom this machine trusts: if you trust it, name a PEM file of it or of its "
            "authority in MODELBOX_CA_FILE."
        )
    if code in _OTHER_NAME:
        return (
            f"The certificate of {address} is for other names than {address.host}: use one of those, or have this name put into the "
            "certificate."
        )
    if code in {_NOT_YET_VALID, _EXPIRED}:
        state = "has expired" if code == _EXPIRED else "is not valid yet"
        return f"The certificate of {address} {state}: have it renewed, and check the clock of this machine."
    if error.reason == "WRONG_VERSION_NUMBER":
        return f"{address} speaks no TLS: write http:// in front of the address, or start the server with tls_cert and tls_key."
    return f"{address} cannot be trusted or speaks no TLS ({error.reason or error})."
