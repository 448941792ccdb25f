"""%load_ext modelbox, twice, again, and back."""

import sys

from IPython.core.interactiveshell import InteractiveShell

from modelbox.client import observers
from modelbox.notebook import load_ipython_extension, unload_ipython_extension
from modelbox_widgets.live_spec import VEGALITE

ALTAIR = """
import altair, pandas
chart = altair.Chart(pandas.DataFrame({'a': [1]})).mark_point()
bundle = get_ipython().display_formatter.format(chart)[0]
"""


def test_loading_twice_listens_once(shell: InteractiveShell) -> None:
    load_ipython_extension(shell)
    assert [len(entries) for entries in observers._observers.values()] == [1, 1]


def test_unloading_takes_everything_back_and_may_be_repeated(shell: InteractiveShell) -> None:
    loaded = [shell.events.callbacks["pre_run_cell"], shell.events.callbacks["post_run_cell"], shell.input_transformers_cleanup]
    assert all(any("modelbox" in str(entry.__module__) for entry in entries) for entries in loaded)
    unload_ipython_extension(shell)
    unload_ipython_extension(shell)
    assert "modelbox" not in shell.magics_manager.magics["line"]
    assert "modelbox" not in shell.magics_manager.magics["cell"]
    assert not [entry for entries in loaded for entry in entries if "modelbox" in str(entry.__module__)]
    load_ipython_extension(shell)
    assert "modelbox" in shell.magics_manager.magics["line"]


def test_reloading_leaves_one_of_each(shell: InteractiveShell) -> None:
    for _ in range(3):
        unload_ipython_extension(shell)
        load_ipython_extension(shell)
    assert [len(entries) for entries in observers._observers.values()] == [1, 1]


def test_altair_charts_are_drawn_without_a_content_delivery_network(shell: InteractiveShell) -> None:
    shell.run_cell(ALTAIR).raise_error()
    assert set(shell.user_ns["bundle"]) == {VEGALITE, "image/png", "text/plain"}


def test_a_renderer_that_the_user_chose_stays(shell: InteractiveShell) -> None:
    shell.run_cell(f"import altair\naltair.renderers.enable('json')\n{ALTAIR}").raise_error()
    assert "application/json" in shell.user_ns["bundle"]
    shell.run_cell("altair.renderers.enable('default')")


def test_the_renderer_is_given_back_when_unloading(shell: InteractiveShell) -> None:
    shell.run_cell(ALTAIR).raise_error()
    renderers = sys.modules["altair"].renderers
    assert renderers.active == "modelbox"
    unload_ipython_extension(shell)
    assert renderers.active == "default"
