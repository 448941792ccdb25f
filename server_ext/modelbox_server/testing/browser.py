"""A headless Chromium that looks at a real JupyterLab, for tests (needs the `playwright` package and a Chromium of the system).

It never leaves this machine: a request to any other host is written down, and the tests fail on it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from modelbox_server.testing.lab import Lab

__all__ = ["SCREENSHOTS_VARIABLE", "LabPage", "keep_picture", "new_profile", "open_lab", "running_chromium"]

SCREENSHOTS_VARIABLE = "MODELBOX_SCREENSHOTS"
"""Environment variable that names the folder for screenshots; none are taken without it."""

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
_LONG_MS = 120_000
_OURS = "modelbox-labextension"

# Results of commands must not travel back to Python (some of them never end being serialised): hence `void`. Nor is anything awaited in
# the page, where no time limit would end it: the page is asked whether it got there.
_IS_RESTORED = """() => {
  void window.jupyterapp?.restored.then(() => { window.modelboxTestRestored = true; });
  return window.modelboxTestRestored === true;
}"""
_OPEN = """([path, kernelPreference]) => {
  void window.jupyterapp.commands.execute('docmanager:open', { path, ...kernelPreference });
}"""
_NO_KERNEL = {"kernelPreference": {"shouldStart": False, "canStart": False, "autoStartDefault": False}}
_IS_OPEN = """path => {
  const widget = window.jupyterapp.shell.currentWidget;
  return widget?.context?.path === path && widget.context.isReady && widget.content.widgets?.length > 0;
}"""
_HAS_KERNEL = "() => window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'"
# Cells far outside the window have no nodes to look at until they are scrolled to.
_SHOW_CELL = """source => {
  const content = window.jupyterapp.shell.currentWidget.content;
  const at = Array.from(content.model.cells).findIndex(cell => cell.sharedModel.getSource().includes(source));
  content.activeCellIndex = at;
  void content.scrollToItem(at, 'start');
  return at;
}"""
_RUN_ALL = "() => { void window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
_ALL_RAN = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = Array.from(panel.content.model.cells).filter(cell => cell.type === 'code' && cell.sharedModel.getSource().trim());
  return cells.every(cell => cell.executionCount !== null) && panel.sessionContext.session?.kernel?.status === 'idle';
}"""
_ERRORS = """() => Array.from(window.jupyterapp.shell.currentWidget.content.model.cells)
  .flatMap(cell => cell.type === 'code' ? cell.outputs.toJSON() : [])
  .filter(output => output.output_type === 'error')
  .map(output => `${output.ename}: ${output.evalue}`)"""


class LabPage:
    """A page that shows a JupyterLab.

    Parameters
    ----------
    page
        The page of the browser.
    lab
        The server behind it.
    """

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        self.foreign_requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._note_request(request.url))
        page.on("pageerror", lambda error: self._note_error(error.stack or str(error)))

    def open(self) -> None:
        """Open the lab without any document."""
        # A workspace of its own: a lab that finds its workspace open in another page moves to a new address while it starts, and Chromium
        # may never finish closing a page that is caught on the way.
        self.page.goto(self.lab.page(f"lab/workspaces/{uuid4().hex}"))
        self.page.wait_for_function(_IS_RESTORED)
        self.page.wait_for_selector(".jp-Launcher")  # it takes the focus when it comes

    def open_notebook(self, path: str) -> None:
        """Show a notebook of the lab, with its kernel started."""
        self.page.evaluate(_OPEN, [path, {}])
        self.page.wait_for_function(_IS_OPEN, arg=path)
        self.page.wait_for_function(_HAS_KERNEL, timeout=_LONG_MS)

    def open_without_kernel(self, path: str) -> None:
        """Show a notebook of the lab without starting a kernel for it."""
        self.page.evaluate(_OPEN, [path, _NO_KERNEL])
        self.page.wait_for_function(_IS_OPEN, arg=path)

    def output_of(self, source: str) -> Locator:
        """Scroll to the first cell that contains `source` and return its output."""
        at: int = self.page.evaluate(_SHOW_CELL, source)
        assert at >= 0, f"no cell contains {source!r}"
        return self.page.locator(f".jp-Cell[data-windowed-list-index='{at}'] .jp-OutputArea")

    def run_all(self) -> None:
        """Start running all cells of the notebook in front."""
        self.page.evaluate(_RUN_ALL)

    def wait_until_ran(self, timeout_ms: int = _LONG_MS) -> None:
        """Wait until all cells of the notebook in front have run; fail with the errors they raised."""
        self.page.wait_for_function(_ALL_RAN, timeout=timeout_ms)
        errors: list[str] = self.page.evaluate(_ERRORS)
        assert not errors, f"cells of the notebook failed: {errors}"

    def command(self, name: str) -> None:
        """Carry out a command of the lab without waiting for its end."""
        self.page.evaluate("name => { void window.jupyterapp.commands.execute(name); }", name)

    def save(self) -> None:
        """Save the notebook in front."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save().then(() => undefined)")

    def show_panel(self) -> Locator:
        """Show the ModelBox panel and return it."""
        panel = self.page.locator("#modelbox-panel")
        if not panel.is_visible():
            self.command("modelbox:show-panel")
        panel.wait_for()
        return panel

    def charts(self) -> Locator:
        """Return the charts drawn by our renderer."""
        return self.page.locator(".mb-Chart svg.marks")

    @contextmanager
    def theme(self, name: str) -> Iterator[None]:
        """Show the lab in a theme, for instance "JupyterLab Dark", until the block is left."""
        before = self.page.evaluate("() => document.body.dataset.jpThemeName")
        self._change_theme(name)
        yield
        self._change_theme(before)

    @contextmanager
    def tall(self, height: int = 1600) -> Iterator[None]:
        """Make the window tall enough for long outputs until the block is left."""
        before = self.page.viewport_size or {"width": 1400, "height": 900}
        self.page.set_viewport_size({"width": before["width"], "height": height})
        yield
        self.page.set_viewport_size(before)

    def screenshot(self, name: str, of: Locator | None = None) -> None:
        """Keep a picture of the page, or of a part of it, where screenshots are wanted."""
        keep_picture(of or self.page, name)

    def _change_theme(self, name: str) -> None:
        self.page.evaluate("theme => { void window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }", name)
        self.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=name)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")  # it lies over the page for a moment

    def _note_request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.lab.host:
            self.foreign_requests.append(url)

    def _note_error(self, stack: str) -> None:
        # Other extensions have mishaps of their own (the widget manager stumbles over notebooks without a kernel).
        if _OURS in stack:
            self.errors.append(stack)


def keep_picture(of: Page | Locator, name: str) -> None:
    """Keep a picture of a page, or of a part of it, where screenshots are wanted."""
    folder = os.environ.get(SCREENSHOTS_VARIABLE)
    if folder:
        path = Path(folder) / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        of.screenshot(path=path)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run Chromium until the block is left.

    Raises
    ------
    RuntimeError
        There is no Chromium on this machine.
    """
    program = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if program is None:
        raise RuntimeError(f"The browser tests need Chromium ({', '.join(_CHROMIUM)} on the PATH): 'make test' installs it on Debian.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_profile(browser: Browser, *, width: int = 1400, height: int = 900) -> Iterator[BrowserContext]:
    """Use a fresh profile until the block is left; pages within it share what the browser has cached."""
    context = browser.new_context(viewport={"width": width, "height": height}, permissions=["clipboard-read"])
    try:
        yield context
    finally:
        context.close()


@contextmanager
def open_lab(profile: BrowserContext, lab: Lab) -> Iterator[LabPage]:
    """Show `lab` in a page of its own until the block is left."""
    page = profile.new_page()
    try:
        shown = LabPage(page, lab)
        shown.open()
        yield shown
    finally:
        page.close()
