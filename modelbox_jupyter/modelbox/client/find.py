"""From what a person types to an experiment."""

from modelbox.client.connection import ModelBox
from modelbox.client.experiment import Experiment
from modelbox.entities.ids import is_id
from modelbox.errors import InvalidRequest, NotFound, shortened

__all__ = ["find_experiment"]

# How many of the newest experiments are searched for the start of an id.
_SEARCHED = 1000
_MIN_DIGITS = 4


def find_experiment(box: ModelBox, text: str) -> Experiment:
    """Return the experiment with this id, with this name (the newest of them), or whose id begins so.

    Raises
    ------
    NotFound
        There is none; the message names one that was probably meant.
    InvalidRequest
        Several ids begin so.
    """
    if is_id(text):
        return box.experiment(text)
    named = box.experiments(name=text, limit=1)
    if named:
        return named[0]
    newest = box.experiments(limit=_SEARCHED)
    matching = [experiment for experiment in newest if len(text) >= _MIN_DIGITS and experiment.id.startswith(text.lower())]
    if len(matching) > 1:
        names = ", ".join(f"{experiment.id[:10]} ({experiment.name})" for experiment in matching[:5])
        raise InvalidRequest(f"Several experiments have an id that begins with {shortened(text)}: {names}. Give more digits.")
    if matching:
        return matching[0]
    raise NotFound.among("experiment", text, {experiment.name for experiment in newest})
