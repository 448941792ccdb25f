"""Pictures of charts by vl-convert, for everything that cannot draw Vega-Lite: GitHub, VS Code, nbconvert, a mail."""

import re
import struct
import zlib
from base64 import b64encode
from html import escape

from modelbox.entities.records import Json

__all__ = ["PNG", "picture_html", "png_metadata", "png_of", "svg_html"]

PNG = "image/png"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
VEGALITE_VERSION = "6.4"
_SCALE = 1.25
# Marks that are there to be pointed at: thousands of them, of which a picture shows nothing.
_UNSEEN = re.compile(r'<path (?:[\w-]+="[^"<>]*" )*?opacity="0"(?: [\w-]+="[^"<>]*")*/?>(?:</path>)?')


def png_of(spec: dict[str, Json]) -> bytes | None:
    """Return `spec` as a PNG; ``None`` when it cannot be drawn.

    Nothing is fetched, whatever addresses the specification names. The first call costs about a second, later ones about 0.2 s, and the
    interpreter lock is held meanwhile: call it when nobody is training.
    """
    import vl_convert  # 60 MB that most sessions never need

    # On a transparent ground vl-convert turns translucent colours into grey.
    opaque = {**spec, "background": "white"}
    try:
        svg = vl_convert.vegalite_to_svg(opaque, vl_version=VEGALITE_VERSION, allowed_base_urls=[])
        if "<image" in svg:  # only this way knows that nothing may be fetched
            png = vl_convert.vegalite_to_png(opaque, vl_version=VEGALITE_VERSION, scale=_SCALE, allowed_base_urls=[])
        else:
            png = vl_convert.svg_to_png(_UNSEEN.sub("", svg), scale=_SCALE)
    except ValueError:
        # vl-convert reports whatever its engine refuses as ValueError. A chart without its picture is better than none.
        return None
    return _repacked(png)


def _repacked(png: bytes) -> bytes:
    """Return the same picture in about a third of the bytes: vl-convert compresses for speed, and outputs are saved with notebooks."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_SIGNATURE)
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        chunks.append((kind, png[at + 8 : at + 8 + size]))
        at += 12 + size
    pixels = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 9)
    kept = [chunk for chunk in chunks if chunk[0] not in {b"IDAT", b"IEND"}]
    packed = [*kept, (b"IDAT", pixels), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in packed
    )


def png_metadata(png: bytes) -> dict[str, int]:
    """Return the size at which a page should show `png`, in CSS pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return {"width": round(width / _SCALE), "height": round(height / _SCALE)}


def picture_html(png: bytes, text: str) -> str:
    """Return an ``img`` element that carries `png` itself; `text` says in words what it shows."""
    size = png_metadata(png)
    data = b64encode(png).decode("ascii")
    return (
        f'<img class="modelbox-picture" width="{size["width"]}" height="{size["height"]}" alt="{escape(text)}" '
        f'src="data:{PNG};base64,{data}">'
    )


def svg_html(svg: str, text: str) -> str:
    """Return an ``img`` element that carries an SVG; an ``svg`` element would be cleaned away in notebooks that are not trusted."""
    data = b64encode(svg.encode()).decode("ascii")
    return f'<img class="modelbox-picture" style="max-width: 100%" alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'
