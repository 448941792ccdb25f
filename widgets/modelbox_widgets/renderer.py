"""An Altair renderer whose output is a valid notebook, needs no network and stays visible without a kernel.

Altair finds it as ``alt.renderers.enable("modelbox")`` through an entry point. Its bundle holds the specification under the media type
that our JupyterLab extension draws, a PNG for everything else, and a line of text.
"""

from modelbox.entities.records import Json
from modelbox_widgets.live_spec import VEGALITE
from modelbox_widgets.picture import PNG, png_metadata, png_of

__all__ = ["render", "spec_bundle"]


def render(spec: dict[str, Json], **_options: Json) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return the bundle of an Altair chart and its metadata; options of other renderers are accepted and have no effect."""
    text = spec.get("description")
    return spec_bundle(spec, text=text if isinstance(text, str) and text else "<Vega-Lite chart>")


def spec_bundle(spec: dict[str, Json], *, text: str) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return a Vega-Lite 6 specification as a bundle with a picture, and the metadata of the bundle."""
    bundle: dict[str, Json] = {VEGALITE: spec, "text/plain": text}
    metadata: dict[str, Json] = {}
    png = png_of(spec)
    if png is not None:
        bundle[PNG] = png
        metadata[PNG] = {**png_metadata(png), "alt": text}
    return bundle, metadata
