"""ModelRegistry without a browser: what it shows, and tags that it moves in the store."""

from collections.abc import Iterator
from typing import Any

import pytest
import traitlets

from modelbox.client.connection import ModelBox
from modelbox.entities.records import Json
from modelbox.errors import Conflict, InvalidRequest, NotFound
from modelbox.testing import memory_connection
from modelbox_widgets.model_registry import ModelRegistry
from modelbox_widgets.testing import HOSTILE_NAMES


@pytest.fixture
def box() -> Iterator[ModelBox]:
    with memory_connection() as connection:
        yield connection


@pytest.fixture
def registry(box: ModelBox) -> ModelRegistry:
    """A model with two versions, one of them in production and from an experiment."""
    with box.start("digits-mlp", params={"lr": 0.1}) as run:
        run.log({"accuracy": 0.93, "system/cpu": 50.0})
        run.new_checkpoint(3, {"accuracy": 0.9})
    model = box.new_model("digits", namespace="équipe/vision", task="classification")
    model.new_model_version("1", unique_tags=["production"], experiment=run, metadata={"data": "v7"}).log({"test/accuracy": 0.91})
    model.new_model_version("2", description="wider")
    return ModelRegistry(connection=box)


def version(registry: ModelRegistry, name: str) -> str:
    found: str = next(one["id"] for model in registry._models for one in model["versions"] if one["version"] == name)
    return found


def tags(box: ModelBox) -> dict[str, list[str]]:
    return {one.version: list(one.tags) for model in box.models() for one in model.model_versions()}


def test_models_are_shown_with_versions_and_tags(registry: ModelRegistry) -> None:
    (model,) = registry._models
    assert (model["name"], model["namespace"], model["task"]) == ("digits", "équipe/vision", "classification")
    assert [(one["version"], one["tags"]) for one in model["versions"]] == [("2", []), ("1", ["production"])]
    assert registry.selected is None


def test_the_origin_of_a_version_is_its_experiment_with_settings_and_checkpoints(registry: ModelRegistry) -> None:
    details, _ = registry.answer("details", {"version": version(registry, "1")})
    assert details["metadata"] == [{"key": "data", "value": "v7"}]
    assert details["metrics"] == [{"key": "test/accuracy", "last": "0.91", "min": "0.91", "max": "0.91", "points": 1}]
    origin = details["origin"]
    assert (origin["name"], origin["status"]) == ("digits-mlp", "finished")
    assert origin["params"] == [{"key": "lr", "value": "0.1"}]
    assert origin["metrics"] == [{"key": "accuracy", "value": "0.93"}]
    assert origin["checkpoints"] == [{"epoch": 3, "metrics": "accuracy 0.9"}]
    assert registry.answer("details", {"version": version(registry, "2")})[0]["origin"] is None


def test_an_experiment_that_is_gone_is_said_to_be(registry: ModelRegistry, box: ModelBox) -> None:
    box.experiments()[0].delete()
    registry.refresh()
    origin = registry.answer("details", {"version": version(registry, "1")})[0]["origin"]
    assert origin is None or origin["status"] == "deleted"


def test_a_tag_moves_in_the_store_and_in_the_table(registry: ModelRegistry, box: ModelBox) -> None:
    holder, target = version(registry, "1"), version(registry, "2")
    registry.answer("promote", {"version": target, "tag": "production", "holder": holder})
    assert tags(box) == {"1": [], "2": ["production"]}
    assert "production" in registry.static_bundle()[0]["text/html"]
    registry.answer("untag", {"version": target, "tag": "production"})
    assert tags(box) == {"1": [], "2": []}
    assert registry.promote(target, "staging").tags == ("staging",)


def test_a_tag_that_somebody_moved_meanwhile_is_not_moved_back_unseen(registry: ModelRegistry, box: ModelBox) -> None:
    one, two = version(registry, "1"), version(registry, "2")
    box.models()[0].version("2").tag("production", move=True)
    with pytest.raises(Conflict, match="look again"):
        registry.answer("promote", {"version": one, "tag": "production", "holder": one})
    assert tags(box)["2"] == ["production"]
    assert registry._models[0]["versions"][0]["tags"] == ["production"]  # and the page shows it now
    box.models()[0].version("1").delete()
    with pytest.raises((NotFound, Conflict)):
        registry.answer("promote", {"version": one, "tag": "production", "holder": two})


def test_the_chosen_version_goes_both_ways(registry: ModelRegistry) -> None:
    registry.set_state({"selected_id": version(registry, "2")})
    assert registry.selected is not None
    assert registry.selected.version == "2"
    registry.selected = None
    assert registry.selected_id == ""
    with pytest.raises(traitlets.TraitError, match="no version"):
        registry.selected_id = "f" * 40


@pytest.mark.parametrize(
    ("question", "content", "error"),
    [
        ("details", {}, InvalidRequest),
        ("details", {"version": 5}, InvalidRequest),
        ("details", {"version": "x" * 100_000}, NotFound),
        ("promote", {"version": "a", "tag": ["production"], "holder": ""}, InvalidRequest),
        ("untag", {"version": "a"}, InvalidRequest),
        ("delete everything", {}, InvalidRequest),
    ],
)
def test_questions_that_make_no_sense_are_refused(registry: ModelRegistry, question: str, content: Json, error: type[Exception]) -> None:
    with pytest.raises(error) as refusal:
        registry.answer(question, content)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "x" * 5000])
def test_a_tag_that_is_no_name_is_refused_in_a_sentence(registry: ModelRegistry, box: ModelBox, tag: str) -> None:
    with pytest.raises(InvalidRequest):
        registry.answer("promote", {"version": version(registry, "2"), "tag": tag, "holder": ""})
    assert tags(box) == {"1": ["production"], "2": []}


def test_hostile_names_are_text(box: ModelBox) -> None:
    for name in HOSTILE_NAMES:
        box.new_model(name, description=name).new_model_version(name, unique_tags=[name])
    shown = ModelRegistry(connection=box)
    assert {model["name"] for model in shown._models} == set(HOSTILE_NAMES)
    html = shown.static_bundle()[0]["text/html"]
    assert "<img" not in html
    assert "</script>" not in html


def test_an_empty_store_and_a_misspelt_setting(box: ModelBox) -> None:
    assert ModelRegistry(connection=box).static_bundle()[0]["text/plain"] == "0 models, 0 versions"
    settings: dict[str, Any] = {"selected": ""}
    with pytest.raises(InvalidRequest, match="selected_id"):
        ModelRegistry(connection=box, **settings)
