"""Colours that everybody can tell apart, on white and on black."""

from itertools import combinations

import numpy as np
import pytest

from modelbox_widgets.live_spec import COLOURS
from modelbox_widgets.points import Floats
from modelbox_widgets.style import by_name

# Machado, Oliveira and Fernandes (2009), full severity, on linear RGB.
_EYES = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]),
}


def linear(colour: str) -> Floats:
    channels = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: Floats) -> Floats:
    """Return CIE L*a*b* of linear RGB: equal distances look about equally different."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (to_xyz @ rgb.clip(0, 1)) / (0.9505, 1.0, 1.089)
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("eyes", _EYES)
def test_every_two_colours_differ_for_all_eyes(eyes: str) -> None:
    """A distance of about 2 is just visible; the palette of Tableau has two colours at 1.7."""
    seen = [lab(_EYES[eyes] @ linear(colour)) for colour in COLOURS]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
def test_every_colour_stands_out_from_the_page(page: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    for colour in COLOURS:
        dark, light = sorted([float(weights @ linear(colour)), float(weights @ linear(page))])
        assert (light + 0.05) / (dark + 0.05) > 1.9


def test_names_beyond_the_palette_begin_it_again() -> None:
    scale = by_name("run:N", [str(number) for number in range(11)]).to_dict()["scale"]
    assert scale["range"][0] == scale["range"][10]
