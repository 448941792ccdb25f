"""What a metric depends on: found where it is, and not where it is not."""

import builtins
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelbox.entities.records import Json
from modelbox.errors import InvalidRequest, MissingExtra
from modelbox_widgets.explanation import importance, importances


def runs(count: int = 40) -> pd.DataFrame:
    """Accuracy has an optimum over the learning rate, rises with the width, and does not know the seed."""
    random = np.random.default_rng(3)
    rate = 10.0 ** random.uniform(-4, 0, count)
    width = random.choice([16, 32, 64], count)
    accuracy = 1 - 0.2 * (np.log10(rate) + 2) ** 2 + 0.004 * width + random.normal(0, 0.02, count)
    columns = {"params.lr": rate, "params.width": width, "params.seed": np.arange(count), "params.noise": random.random(count)}
    kinds = random.choice(["relu", "tanh"], count)
    return pd.DataFrame({"experiment_id": [str(i) for i in range(count)], **columns, "params.kind": kinds, "metrics.accuracy": accuracy})


@pytest.mark.parametrize("method", ["ranks", "forest"])
def test_what_matters_comes_first_even_where_it_goes_up_and_down(method: Any) -> None:
    table = importances(runs(), "accuracy", method=method)
    assert table["parameter"].tolist()[0] == "params.lr"
    assert table["importance"].iloc[0] > 0.5
    shares = dict(zip(table["parameter"], table["importance"], strict=True))
    assert shares["params.noise"] < 0.2
    assert shares["params.kind"] < 0.2


def test_chance_is_told_from_cause() -> None:
    table = importances(runs(), "accuracy").set_index("parameter")
    assert table.loc["params.lr", "p_value"] < 0.01
    assert table.loc["params.seed", "p_value"] > 0.05


def test_the_direction_of_text_is_unknown() -> None:
    table = importances(runs(), "accuracy").set_index("parameter")
    assert math.isnan(table.loc["params.kind", "correlation"])
    assert table["method"].str.contains("ranks").all()


def test_pure_chance_is_rarely_called_important() -> None:
    """With eight runs and five parameters of noise, the largest share would be 40 % without the adjustment."""
    random = np.random.default_rng(5)
    shares = []
    for _ in range(20):
        frame = pd.DataFrame({"experiment_id": list("abcdefgh"), "metrics.loss": random.random(8)})
        for i in range(5):
            frame[f"params.p{i}"] = random.choice(["a", "b"], 8)
        shares += importances(frame, "loss")["importance"].tolist()
    assert np.mean(shares) < 0.15


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (runs(3), "at least 4 runs"),
        (runs().assign(**{"metrics.accuracy": 0.5}), "same 'accuracy'"),
        (runs()[["experiment_id", "metrics.accuracy"]], "parameters that differ"),
        (runs().assign(**{"metrics.accuracy": math.nan}), "this frame has 0"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(frame: pd.DataFrame, sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        importance(frame, "accuracy")


def test_a_missing_extra_explains_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="pip install scikit-learn"):
        importances(runs(), "accuracy", method="forest")
    assert len(importances(runs(), "accuracy")) == 5


def bars(frame: pd.DataFrame, metric: str, **options: Any) -> list[dict[str, Json]]:
    spec = importance(frame, metric, **options).to_dict()
    return [row for rows in spec["datasets"].values() for row in rows if "direction" in row]


def test_colours_say_which_way_is_better() -> None:
    frame = runs()
    frame["metrics.loss"] = -frame["metrics.accuracy"]
    directions = {row["name"]: row["direction"] for row in bars(frame, "accuracy")}
    assert directions["width"] == "greater is better"
    assert {row["name"]: row["direction"] for row in bars(frame, "loss")}["width"] == "greater is better"
    assert {row["name"]: row["direction"] for row in bars(frame, "loss", mode="max")}["width"] == "smaller is better"


def test_long_names_that_look_alike_keep_their_own_bars() -> None:
    frame = runs()
    names = [f"params.{'a' * 60}{i}{'b' * 60}" for i in range(3)]
    for i, name in enumerate(names):
        frame[name] = np.arange(len(frame)) % (i + 2)
    assert len({row["parameter"] for row in bars(frame, "accuracy", params=names)}) == 3
