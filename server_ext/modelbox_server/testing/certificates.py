"""Certificates for tests, signed by themselves, made with the program ``openssl``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Certificate", "make_certificate"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Both, as a server takes them."""
        return self.certificate, self.key


def make_certificate(folder: Path, name: str = "server", alternatives: Sequence[str] = ("DNS:localhost", "IP:127.0.0.1")) -> Certificate:
    """Make a certificate for the `alternatives`, its own authority, in `folder`."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(alternatives)}"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return made
