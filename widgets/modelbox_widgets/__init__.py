"""Charts, tables and widgets of ModelBox for notebooks.

Charts and tables are pure functions of frames; widgets only decide which frame. Importing this package loads none of them: names are
resolved on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelbox_widgets.artifact_browser import ArtifactBrowser as ArtifactBrowser
    from modelbox_widgets.charts import curves as curves
    from modelbox_widgets.compare_view import CompareView as CompareView
    from modelbox_widgets.comparison import Comparison as Comparison
    from modelbox_widgets.coordinates import parallel as parallel
    from modelbox_widgets.event_feed import EventFeed as EventFeed
    from modelbox_widgets.explanation import importance as importance
    from modelbox_widgets.explanation import importances as importances
    from modelbox_widgets.live_chart import LiveChart as LiveChart
    from modelbox_widgets.model_registry import ModelRegistry as ModelRegistry
    from modelbox_widgets.run_table import RunTable as RunTable
    from modelbox_widgets.statistics import stats as stats
    from modelbox_widgets.tables import best as best
    from modelbox_widgets.tables import differences as differences
    from modelbox_widgets.tables import standings as standings
    from modelbox_widgets.time_use import time_spent as time_spent
    from modelbox_widgets.time_use import timeline as timeline
    from modelbox_widgets.trade_offs import pareto as pareto
    from modelbox_widgets.trade_offs import pareto_front as pareto_front
    from modelbox_widgets.trade_offs import scatter as scatter

__all__ = [
    "ArtifactBrowser",
    "CompareView",
    "Comparison",
    "EventFeed",
    "LiveChart",
    "ModelRegistry",
    "RunTable",
    "best",
    "curves",
    "differences",
    "importance",
    "importances",
    "parallel",
    "pareto",
    "pareto_front",
    "scatter",
    "standings",
    "stats",
    "time_spent",
    "timeline",
]

_HOME = {
    "ArtifactBrowser": "modelbox_widgets.artifact_browser",
    "CompareView": "modelbox_widgets.compare_view",
    "Comparison": "modelbox_widgets.comparison",
    "EventFeed": "modelbox_widgets.event_feed",
    "LiveChart": "modelbox_widgets.live_chart",
    "ModelRegistry": "modelbox_widgets.model_registry",
    "RunTable": "modelbox_widgets.run_table",
    "best": "modelbox_widgets.tables",
    "curves": "modelbox_widgets.charts",
    "differences": "modelbox_widgets.tables",
    "importance": "modelbox_widgets.explanation",
    "importances": "modelbox_widgets.explanation",
    "parallel": "modelbox_widgets.coordinates",
    "pareto": "modelbox_widgets.trade_offs",
    "pareto_front": "modelbox_widgets.trade_offs",
    "scatter": "modelbox_widgets.trade_offs",
    "standings": "modelbox_widgets.tables",
    "stats": "modelbox_widgets.statistics",
    "time_spent": "modelbox_widgets.time_use",
    "timeline": "modelbox_widgets.time_use",
}


def __getattr__(name: str) -> object:
    """Import a public name on its first use: Altair and ipywidgets cost seconds."""
    if name not in _HOME:
        raise AttributeError(f"module 'modelbox_widgets' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
