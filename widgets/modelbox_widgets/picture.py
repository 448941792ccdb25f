"""Pictures of charts by vl-convert, for everything that cannot draw Vega-Lite: GitHub, VS Code, nbconvert, a mail."""

import struct

from modelbox.entities.records import Json

__all__ = ["PNG", "png_metadata", "png_of"]

PNG = "image/png"
_VEGALITE_VERSION = "6.4"
_SCALE = 1.5


def png_of(spec: dict[str, Json]) -> bytes | None:
    """Return `spec` as a PNG; ``None`` when it cannot be drawn.

    Nothing is fetched, whatever addresses the specification names. The first call costs about a second, later ones about 0.2 s, and the
    interpreter lock is held meanwhile: call it when nobody is training.
    """
    import vl_convert  # 60 MB that most sessions never need

    # On a transparent ground vl-convert turns translucent colours into grey.
    opaque = {**spec, "background": "white"}
    try:
        return vl_convert.vegalite_to_png(opaque, vl_version=_VEGALITE_VERSION, scale=_SCALE, allowed_base_urls=[])
    except ValueError:
        # vl-convert reports whatever its engine refuses as ValueError. A chart without its picture is better than none.
        return None


def png_metadata(png: bytes) -> dict[str, int]:
    """Return the size at which a page should show `png`, in CSS pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return {"width": round(width / _SCALE), "height": round(height / _SCALE)}
