"""What may be logged, value by value."""

import enum
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from modelbox.client.masking import MASK, masked
from modelbox.client.values import UnsupportedValue, flat_params, integer_step, metric_value, moment, plain_json, wall_time_us
from modelbox.errors import InvalidRequest


class Tensor:
    """What a tensor of torch looks like from outside."""

    def __init__(self, *values: float) -> None:
        self._values = values
        self.shape = () if len(values) == 1 else (len(values),)

    def item(self) -> float:
        (value,) = self._values
        return value


class EagerTensor:
    """What a tensor of TensorFlow looks like from outside: no item()."""

    shape = ()

    def numpy(self) -> np.float32:
        return np.float32(0.5)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (1, 1.0),
        (True, 1.0),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (1e308, 1e308),
        (math.inf, math.inf),
        (2**53, 2.0**53),
        (2**63 - 1, float(2**63 - 1)),
        (Decimal("0.25"), 0.25),
        (Decimal("Infinity"), math.inf),
        (Fraction(1, 4), 0.25),
        (np.float16(0.5), 0.5),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.5), 0.5),
        (np.int64(-7), -7.0),
        (np.uint8(255), 255.0),
        (np.bool_(True), 1.0),
        (np.array(0.5), 0.5),
        (np.array([0.5]), 0.5),
        (Tensor(0.5), 0.5),
        (EagerTensor(), 0.5),
    ],
)
def test_every_kind_of_number_becomes_a_float(given: object, stored: float) -> None:
    value = metric_value("val/loss @1", given)
    assert type(value) is float
    assert value == stored
    assert math.copysign(1, value) == math.copysign(1, stored)


@pytest.mark.parametrize("given", [math.nan, np.float32("nan"), Decimal("NaN")])
def test_nan_is_a_value(given: object) -> None:
    value = metric_value("loss", given)
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("given", "stored"), [("abc", "abc"), (np.str_("x"), "x"), (b"\0\xff", b"\0\xff"), (bytearray(b"x"), b"x"), (np.bytes_(b"x"), b"x")]
)
def test_text_and_bytes_stay(given: object, stored: object) -> None:
    value = metric_value("note", given)
    assert value == stored
    assert type(value) is type(stored)


@pytest.mark.parametrize(
    "given",
    [
        None,
        1 + 2j,
        object(),
        [],
        {"a": 1},
        np.array([1.0, 2.0]),
        Tensor(1.0, 2.0),
        np.complex64(1),
        np.datetime64("2026-01-01", "ns"),
        Decimal("1e400"),
        Fraction(10**400),
        Decimal("sNaN"),
    ],
)
def test_anything_else_is_refused_with_key_and_type(given: object) -> None:
    with pytest.raises(TypeError) as caught:
        metric_value("val/loss @1", given)
    assert isinstance(caught.value, UnsupportedValue)
    assert "'val/loss @1'" in str(caught.value)
    assert type(given).__name__.removesuffix("64") in str(caught.value)


@pytest.mark.parametrize("given", [10**30, -(2**63) - 1, np.array(10**30, dtype=object)])
def test_an_integer_beyond_64_bits_is_an_error(given: object) -> None:
    with pytest.raises(InvalidRequest, match="outside 64 bits"):
        metric_value("n", given)


@pytest.mark.parametrize(
    ("given", "step"), [(3, 3), (-(2**63), -(2**63)), (2.0, 2), (np.int32(4), 4), (np.array(5), 5), (True, 1), (Tensor(6.0), 6)]
)
def test_a_step_is_an_integer_of_any_library(given: object, step: int) -> None:
    assert integer_step(given) == step


@pytest.mark.parametrize("given", [1.5, math.nan, math.inf, "1", None, 2**63, np.array([1, 2])])
def test_any_other_step_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest, match="step"):
        integer_step(given)


def test_wall_clocks_are_seconds_or_datetimes() -> None:
    assert wall_time_us(1.5) == 1_500_000
    assert wall_time_us(-1) == -1_000_000
    assert wall_time_us(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("given", ["now", math.nan, math.inf, 1e30, None])
def test_any_other_wall_clock_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest, match="wall clock"):
        wall_time_us(given)  # type: ignore[arg-type]


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Settings:
    lr: float
    where: Path


def test_parameters_are_flattened_with_dots() -> None:
    given = {"opt": {"lr": 0.1, "betas": (0.9, 0.99)}, 3: "three", "empty": {}, "none": None}
    assert flat_params(given) == {"opt.lr": 0.1, "opt.betas": [0.9, 0.99], "3": "three", "empty": {}, "none": None}  # type: ignore[arg-type]


def test_parameters_of_other_libraries_become_plain_data() -> None:
    given = {
        "settings": Settings(0.1, Path("/x")),
        "colour": Colour.RED,
        "n": np.int64(3),
        "w": np.array([1.0, 2.0]),
        "f": math.sqrt,
        "c": Settings,
    }
    flat = flat_params(given)
    assert flat["settings.lr"] == 0.1
    assert flat["settings.where"] == "/x"
    assert flat["colour"] == "red"
    assert flat["n"] == 3
    assert type(flat["n"]) is int
    assert flat["w"] == [1.0, 2.0]
    assert flat["f"] == "math.sqrt"
    assert flat["c"].endswith("Settings")


def test_a_parameter_that_would_stand_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        flat_params({"a": {"b": 1}, "a.b": 2})


def test_huge_integers_among_parameters_are_kept_as_text() -> None:
    assert flat_params({"seed": 10**30}) == {"seed": str(10**30)}


def test_sets_come_in_one_order() -> None:
    assert plain_json({"b", "a"}) == ["a", "b"]


@pytest.mark.parametrize(
    "key", ["password", "hf_token", "TOKEN", "db.password", "api_key", "OPENAI_API_KEY", "aws-secret", "client_secret", "passwd"]
)
def test_secrets_are_masked(key: str) -> None:
    hidden, names = masked({key: "hunter2", "lr": 0.1})
    assert hidden == {key: MASK, "lr": 0.1}
    assert names == [key]


@pytest.mark.parametrize(
    ("key", "value"),
    [("tokenizer", "bpe"), ("max_tokens", 512), ("token", 512), ("passwords_checked", "yes"), ("secretary", "x"), ("key", "C major")],
)
def test_what_only_sounds_like_a_secret_stays(key: str, value: object) -> None:
    assert masked({key: value}) == ({key: value}, [])
