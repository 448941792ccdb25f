"""Log, query and compare machine-learning experiments without leaving the notebook.

>>> import modelbox
>>> with modelbox.start("digits-mlp", params={"lr": 3e-3}) as run:  # doctest: +SKIP
...     run.log(loss=0.25, step=1)
>>> modelbox.experiments()  # doctest: +SKIP

Names are resolved on first use, so that importing the package costs a training script next to nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbox.client.active import current as current
    from modelbox.client.active import log as log
    from modelbox.client.artifacts import Artifact as Artifact
    from modelbox.client.checkpoint import Checkpoint as Checkpoint
    from modelbox.client.connection import ModelBox as ModelBox
    from modelbox.client.discovery import Where as Where
    from modelbox.client.events import Event as Event
    from modelbox.client.experiment import Experiment as Experiment
    from modelbox.client.metrics import MetricValue as MetricValue
    from modelbox.client.model import Model as Model
    from modelbox.client.model import ModelVersion as ModelVersion
    from modelbox.client.notices import ModelBoxWarning as ModelBoxWarning
    from modelbox.client.shared import connect as connect
    from modelbox.client.shared import experiment as experiment
    from modelbox.client.shared import model as model
    from modelbox.client.shared import new_experiment as new_experiment
    from modelbox.client.shared import new_model as new_model
    from modelbox.client.shared import start as start
    from modelbox.client.shared import where as where
    from modelbox.client.sync import sync as sync
    from modelbox.errors import ModelBoxError as ModelBoxError
    from modelbox.frames import artifacts as artifacts
    from modelbox.frames import audit as audit
    from modelbox.frames import checkpoints as checkpoints
    from modelbox.frames import events as events
    from modelbox.frames import experiments as experiments
    from modelbox.frames import metrics as metrics
    from modelbox.frames import model_versions as model_versions
    from modelbox.frames import models as models
    from modelbox.frames import sql as sql
    from modelbox.frames import views as views
    from modelbox.notebook.reports import report as report
    from modelbox.notebook.widgets import artifact_browser as artifact_browser
    from modelbox.notebook.widgets import event_feed as event_feed
    from modelbox.notebook.widgets import live as live
    from modelbox.notebook.widgets import registry as registry
    from modelbox.notebook.widgets import run_table as run_table
    from modelbox_widgets.compare_view import CompareView as CompareView

    __version__: str

__all__ = [
    "Artifact",
    "Checkpoint",
    "CompareView",
    "Event",
    "Experiment",
    "MetricValue",
    "Model",
    "ModelBox",
    "ModelBoxError",
    "ModelBoxWarning",
    "ModelVersion",
    "Where",
    "__version__",
    "artifact_browser",
    "artifacts",
    "audit",
    "checkpoints",
    "connect",
    "current",
    "event_feed",
    "events",
    "experiment",
    "experiments",
    "live",
    "load_ipython_extension",
    "log",
    "metrics",
    "model",
    "model_versions",
    "models",
    "new_experiment",
    "new_model",
    "registry",
    "report",
    "run_table",
    "sql",
    "start",
    "sync",
    "unload_ipython_extension",
    "views",
    "where",
]

_HOME = {
    "Artifact": "modelbox.client.artifacts",
    "Checkpoint": "modelbox.client.checkpoint",
    "CompareView": "modelbox_widgets.compare_view",
    "Event": "modelbox.client.events",
    "Experiment": "modelbox.client.experiment",
    "MetricValue": "modelbox.client.metrics",
    "Model": "modelbox.client.model",
    "ModelBox": "modelbox.client.connection",
    "ModelBoxError": "modelbox.errors",
    "ModelBoxWarning": "modelbox.client.notices",
    "ModelVersion": "modelbox.client.model",
    "Where": "modelbox.client.discovery",
    "artifact_browser": "modelbox.notebook.widgets",
    "artifacts": "modelbox.frames",
    "audit": "modelbox.frames",
    "checkpoints": "modelbox.frames",
    "connect": "modelbox.client.shared",
    "current": "modelbox.client.active",
    "event_feed": "modelbox.notebook.widgets",
    "events": "modelbox.frames",
    "experiment": "modelbox.client.shared",
    "experiments": "modelbox.frames",
    "live": "modelbox.notebook.widgets",
    "log": "modelbox.client.active",
    "metrics": "modelbox.frames",
    "model": "modelbox.client.shared",
    "model_versions": "modelbox.frames",
    "models": "modelbox.frames",
    "new_experiment": "modelbox.client.shared",
    "new_model": "modelbox.client.shared",
    "registry": "modelbox.notebook.widgets",
    "report": "modelbox.notebook.reports",
    "run_table": "modelbox.notebook.widgets",
    "sql": "modelbox.frames",
    "start": "modelbox.client.shared",
    "sync": "modelbox.client.sync",
    "views": "modelbox.frames",
    "where": "modelbox.client.shared",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module 'modelbox' has no attribute {name!r}")
    if _HOME[name] == "modelbox.frames":
        # Whoever asks for a DataFrame expects `df.modelbox` on it; frames itself lies below the notebook and may not import it.
        import_module("modelbox.notebook.accessor")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: object) -> None:
    """Make ``%modelbox``, ``%%modelbox``, ``df.modelbox`` and the live chart available: ``%load_ext modelbox``."""
    import_module("modelbox.notebook").load_ipython_extension(shell)


def unload_ipython_extension(shell: object) -> None:
    """Take back what :func:`load_ipython_extension` did: ``%unload_ext modelbox``."""
    import_module("modelbox.notebook").unload_ipython_extension(shell)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("modelbox-jupyter")
    except PackageNotFoundError:  # run from a source tree
        return "0+unknown"


if "pandas" in sys.modules:
    # The order `import pandas, modelbox` makes the accessor ready; pandas has no entry point that would find it.
    import_module("modelbox.notebook.accessor")
