"""Printed lines: kept line by line beside the training, and printing works as ever."""

import contextlib
import functools
import io
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import ParamSpec, TextIO

import pytest

from modelbox.client import console
from modelbox.client.connection import ModelBox
from modelbox.client.console import MAX_LINE_CHARS, LineKeeper
from modelbox.client.experiment import Experiment
from modelbox.client.notices import Notices

P = ParamSpec("P")
Lines = list[tuple[int, str, str]]


def on_own_streams(test: Callable[P, None]) -> Callable[P, None]:
    """Give a test streams of its own, which pytest does not exchange, and check that nothing of ours is left on them."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            test(*args, **kwargs)
        assert console._taps == []
        assert not {"write"} & (vars(out).keys() | vars(err).keys())

    return run


def shown(stream: TextIO) -> str:
    """Return what really was written to one of these streams."""
    assert isinstance(stream, io.TextIOWrapper)
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def kept(text: str, **options: int) -> list[str]:
    lines: Lines = []
    keeper = LineKeeper(lambda *line: lines.append(line), **options)
    keeper.write("console/stdout", text)
    keeper.close()
    assert [number for number, _, _ in lines] == list(range(len(lines)))
    return [line for _, _, line in lines]


# --- lines --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\n\nb", ["a", "", "b"]),
        ("", []),
        ("10%\r50%\r100%\n", ["100%"]),
        ("10%\r50%\r", ["50%"]),
        ("windows\r\n", ["windows"]),
        ("nul \0, surrogate \udcff\n", ["nul \ufffd, surrogate ?"]),
        ("日本語 😀\n", ["日本語 😀"]),
    ],
)
def test_what_is_written_becomes_lines_as_a_terminal_shows_them(printed: str, lines: list[str]) -> None:
    assert kept(printed) == lines


def test_pieces_are_put_together() -> None:
    lines: Lines = []
    keeper = LineKeeper(lambda *line: lines.append(line))
    for piece in ("lo", "ss ", "0.5\nn", "ext"):
        keeper.write("out", piece)
    keeper.write("err", "warning\n")
    keeper.write("out", "\n")
    assert lines == [(0, "out", "loss 0.5"), (1, "err", "warning"), (2, "out", "next")]


def test_a_progress_bar_without_line_breaks_stays_small() -> None:
    lines: Lines = []
    keeper = LineKeeper(lambda *line: lines.append(line))
    for i in range(20_000):
        keeper.write("out", f"\r{i} of 20000")
    assert all(len(rest) <= MAX_LINE_CHARS for rest in keeper._begun.values())
    keeper.close()
    assert lines == [(0, "out", "19999 of 20000")]


def test_long_lines_are_cut() -> None:
    (line,) = kept("x" * 100_000 + "\n")
    assert line == "x" * MAX_LINE_CHARS + " …"


def test_an_endless_output_is_kept_up_to_a_bound_and_says_so() -> None:
    lines = kept("0123456789\n" * 10_000, max_chars=2600)
    assert len(lines) == 100
    assert lines[-1] == "[ModelBox keeps no more of what this experiment prints]"


def test_empty_lines_count_too() -> None:
    assert len(kept("\n" * 10_000, max_chars=1600)) == 100


# --- streams ------------------------------------------------------------------------------------------------------------------------------


@on_own_streams
def test_printed_lines_are_kept_in_their_order_and_still_printed(box: ModelBox) -> None:
    out, err = sys.stdout, sys.stderr
    with box.start("demo", console=True) as run:
        print("epoch", 1, flush=True)
        sys.stderr.write("careful\n")
        sys.stdout.writelines(["a\n", "b\n"])
        print("no line break", end="")
    print("after")
    assert run.console() == "epoch 1\ncareful\na\nb\nno line break\n"
    assert shown(out) == "epoch 1\na\nb\nno line breakafter\n"
    assert shown(err) == "careful\n"


@on_own_streams
def test_log_handlers_that_hold_the_stream_are_heard(box: ModelBox) -> None:
    logger = logging.getLogger("test of console")
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    with box.start("demo", console=True) as run:
        logger.warning("hot")
    logger.removeHandler(handler)
    assert run.console() == "hot\n"


@on_own_streams
def test_lines_arrive_while_the_experiment_runs(box: ModelBox) -> None:
    with box.start("demo", console=True) as run:
        print("now")
        assert box.experiment(run.id).console() == "now\n"


@on_own_streams
def test_a_failed_experiment_has_its_last_lines(box: ModelBox) -> None:
    run = box.start("demo", console=True)
    with contextlib.suppress(ZeroDivisionError), run:
        print("dividing", end="")
        print(1 / 0)
    assert run.console() == "dividing\n"


@on_own_streams
def test_nothing_is_kept_unless_asked(box: ModelBox) -> None:
    with box.start("demo") as run:
        print("x")
    assert run.console() == ""


@on_own_streams
def test_experiments_within_each_other_each_keep_what_is_printed_in_their_time(box: ModelBox) -> None:
    outer = box.start("outer", console=True)
    print("1")
    inner = box.start("inner", console=True)
    print("2")
    outer.finish()  # the first to begin is the first to end
    print("3")
    inner.finish()
    assert outer.console() == "1\n2\n"
    assert inner.console() == "2\n3\n"


@on_own_streams
def test_a_stream_that_is_replaced_meanwhile_does_not_matter(box: ModelBox) -> None:
    with box.start("demo", console=True) as run:
        with contextlib.redirect_stdout(io.StringIO()) as elsewhere:
            print("elsewhere")
            with box.start("there", console=True) as there:
                print("kept there")
        print("here")
    assert run.console() == "here\n"
    assert there.console() == "kept there\n"
    assert elsewhere.getvalue() == "elsewhere\nkept there\n"


@on_own_streams
def test_somebody_who_wraps_the_stream_later_keeps_the_wrapping(box: ModelBox) -> None:
    out = sys.stdout
    heard: list[str] = []
    with box.start("demo", console=True):
        ours = out.write

        def theirs(text: str) -> int:
            heard.append(text)
            return ours(text)

        out.write = theirs  # type: ignore[method-assign]
        out.write("a")
    assert out.write is theirs
    out.write("b")
    assert heard == ["a", "b"]
    assert shown(out) == "ab"
    del out.write


@on_own_streams
def test_somebody_who_wrapped_the_stream_before_gets_it_back(box: ModelBox) -> None:
    out = sys.stdout
    plain = out.write

    def theirs(text: str) -> int:
        return plain(text.upper())

    out.write = theirs  # type: ignore[method-assign]
    with box.start("demo", console=True) as run:
        print("a")
    assert out.write is theirs
    assert (shown(out), run.console()) == ("A\n", "a\n")
    del out.write


def test_a_stream_that_cannot_be_listened_to_is_left_alone(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slotted:
        __slots__ = ()

        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stdout", Slotted())
    monkeypatch.setattr(sys, "stderr", None)
    with box.start("demo", console=True) as run:
        print("x")
    assert run.console() == ""


@on_own_streams
def test_printing_works_when_keeping_fails(box: ModelBox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(self: Experiment, step: int, values: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Experiment, "log_beside", fail)
    monkeypatch.setattr(console, "_notices", Notices())
    with box.start("demo", console=True):
        for i in range(3):
            print(i)
    assert shown(sys.stdout) == "0\n1\n2\n"
    assert len([record for record in caplog.records if "not kept any more" in record.getMessage()]) == 1


@on_own_streams
def test_keeping_a_line_may_print_without_end_in_sight(box: ModelBox, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Experiment.log_beside

    def chatty(self: Experiment, step: int, values: dict[str, str]) -> None:
        print("keeping")
        plain(self, step, values)

    monkeypatch.setattr(Experiment, "log_beside", chatty)
    with box.start("demo", console=True) as run:
        print("x")
    assert run.console() == "x\n"


@on_own_streams
def test_threads_print_whole_lines(box: ModelBox) -> None:
    def work(name: str) -> None:
        for i in range(200):
            sys.stdout.write(f"{name} {i}\n")

    with box.start("demo", console=True) as run:
        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(run.console().splitlines()) == sorted(f"{name} {i}" for name in "abcd" for i in range(200))


def _print_in_child() -> None:
    print("from the child", flush=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@on_own_streams
def test_a_forked_child_prints_without_touching_the_experiment(box: ModelBox) -> None:
    with box.start("demo", console=True) as run:
        print("before")
        child = multiprocessing.get_context("fork").Process(target=_print_in_child)
        child.start()
        child.join(30)
        assert child.exitcode == 0
    assert run.console() == "before\n"


def test_a_script_keeps_its_output_up_to_a_crash(tmp_path: object) -> None:
    code = (
        "import os, sys, time, modelbox\n"
        f"box = modelbox.ModelBox({str(tmp_path)!r})\n"
        "run = box.start('x', console=True)\n"
        "print('last words', flush=True)\n"
        "time.sleep(1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "last words\n"
    with ModelBox(str(tmp_path)) as box:
        assert box.experiments()[0].console() == "last words\n"
