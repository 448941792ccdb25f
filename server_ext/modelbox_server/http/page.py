"""The web page: what the build of ``labextension/`` puts beside this package, served to whoever addresses this server.

The files know nothing that is worth hiding; what they show comes from the API, which wants a credential. Scripts and styles have the digest
of their content in their names and may be kept for ever. The page itself is asked for anew each time.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from modelbox.errors import NotFound, shortened
from modelbox_server.http.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

__all__ = ["CONTENT_SECURITY_POLICY", "PAGE", "ToPageExchange", "page_files"]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",  # previews of artifacts are blobs, ticks in boxes are data
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may do: nothing but run its own scripts and ask this server."""

_ASSET = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_NOT_BUILT = (
    "The web page was not built: run 'jlpm build:prod' in labextension/ of the checkout, or install the wheel. The API works without it.\n"
)


def page_files() -> Traversable:
    """Return the folder with the files of the page, ``index.html`` and ``assets/``; it is empty, or missing, before the page is built."""
    return files("modelbox_server") / "page_files"


@dataclass(frozen=True, slots=True)
class _Asset:
    media: str
    body: bytes
    packed: bytes


@lru_cache(maxsize=64)
def _asset(name: str) -> _Asset:
    """Read a script or style. Its name is its content's, so that it never changes."""
    media = _MEDIA.get(name[name.rfind(".") :]) if _ASSET.fullmatch(name) else None
    if media is not None:
        try:
            body = (page_files() / "assets" / name).read_bytes()
        except OSError:
            pass
        else:
            return _Asset(f"{media}; charset=utf-8", body, gzip.compress(body, 9, mtime=0))
    raise NotFound(f"The page has no file {shortened(name)}: reload the page, which was made anew since it was opened.")


class IndexExchange(Exchange):
    """Serves the page itself."""

    async def answer(self) -> None:
        """Send it, with what it may do."""
        body = await self.handler.face.run(_index)
        handler = self.handler
        handler.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        handler.set_header("X-Frame-Options", "DENY")
        handler.set_header("Referrer-Policy", "no-referrer")
        handler.set_header("Cross-Origin-Opener-Policy", "same-origin")
        handler.set_header("Cache-Control", "no-cache")
        if body is None:
            await handler.send(_NOT_BUILT.encode(), media="text/plain; charset=utf-8", status=404)
        else:
            await handler.send(body, media="text/html; charset=utf-8")


def _index() -> bytes | None:
    try:
        return (page_files() / "index.html").read_bytes()
    except OSError:
        return None


class AssetExchange(Exchange):
    """Serves a script or style of the page."""

    async def answer(self) -> None:
        """Send it, compressed for whoever can read that."""
        handler = self.handler
        asset = await handler.face.run(_asset, handler.path_kwargs["name"])
        handler.set_header("Cache-Control", "public, max-age=31536000, immutable")
        handler.set_header("Vary", "Accept-Encoding")
        body = asset.body
        if "gzip" in handler.request.headers.get("Accept-Encoding", ""):
            handler.set_header("Content-Encoding", "gzip")
            body = asset.packed
        await handler.send(body, media=asset.media)


class ToPageExchange(Exchange):
    """Leads to the page from its address without the slash at the end, from which its relative addresses would lead elsewhere."""

    async def answer(self) -> None:
        """Send there."""
        handler = self.handler
        handler.set_header("Location", f"{handler.request.path.rpartition('/')[2]}/")
        await handler.send(b"", media="text/plain", status=302)


PAGE: Mapping[str, type[Exchange]] = {"/": IndexExchange, "/assets/{name}": AssetExchange}
"""Path to exchange."""
