"""What people see: tables fit the terminal, nothing that somebody named is acted on, and ends are quiet."""

import os
import signal
import subprocess
import sys
import unicodedata

import pytest

from modelbox.testing.command_line import CommandLine, open_terminal, without_colours

HEAVY = {"pandas", "sqlalchemy", "grpc", "boto3", "tornado", "altair", "numpy"}


def columns_of(line: str) -> int:
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize(
    "words",
    [
        ("client", "experiments", "list"),
        ("client", "experiments", "show", "digits"),
        ("query", "params.lr > 0 show name, params.lr, metrics.loss, metrics.accuracy.max, created, duration"),
        ("sql", "select * from experiments"),
        ("client", "artifacts", "list", "--parent-id", "digits"),
    ],
    ids=" ".join,
)
def test_a_table_fits_the_terminal_and_colours_can_be_turned_off(served: CommandLine, words: tuple[str, ...], columns: int) -> None:
    seen = served.seen(*words, columns=columns, MODELBOX_PROGRESS="0")
    assert "\x1b[1m" in seen
    told = [line for line in without_colours(seen).splitlines() if not line.startswith("Left out for lack of room")]
    assert max(map(columns_of, told)) <= columns
    assert "\x1b" not in served.seen(*words, columns=columns, NO_COLOR="1", MODELBOX_PROGRESS="0")


def test_names_stand_in_columns_and_what_there_is_no_room_for_is_named(served: CommandLine) -> None:
    lines = without_colours(served.seen("sql", "select * from experiments order by created_at limit 4")).splitlines()
    assert [line for line in lines if line.startswith("Left out for lack of room: ")]
    table = without_colours(served.seen("client", "experiments", "list")).splitlines()
    head, rows = table[0], table[1:]
    place = head.index("status")
    for row in rows:
        left = ""
        for char in row:
            if columns_of(left) >= place:
                break
            left += char
        assert row[len(left) :].startswith(("finished", "running"))


def test_numbers_stand_to_the_right(served: CommandLine) -> None:
    head, *rows = without_colours(served.seen("query", "metrics.loss < 2 show name, metrics.loss")).splitlines()
    assert len({len(row) for row in rows if row.isascii()} | {len(head)}) == 1


def test_what_somebody_wrote_reaches_no_terminal_as_it_is(served: CommandLine) -> None:
    for words in (("client", "experiments", "show", "digits"), ("query", "name = digits", "--csv"), ("query", "name = digits", "--json")):
        seen = without_colours(served.seen(*words, NO_COLOR="1"))
        assert "note" in seen
        assert not {"\x1b", "\x07", "\u202e"} & set(seen)
    piped = served.run("query", "name = digits", "--csv").stdout
    assert "\x1b[31mred" in piped


def test_a_reader_that_leaves_and_ctrl_c_end_quietly(served: CommandLine) -> None:
    script = f"set -o pipefail; {sys.executable} -m modelbox.cli.main client experiments list --json | head -c 1 >/dev/null"
    ended = subprocess.run(["bash", "-c", script], env=served.env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode in {0, 141}
    assert ended.stderr == ""
    command = [sys.executable, "-m", "modelbox.cli.main", "client", "watch", "--since-start", "--json"]
    with subprocess.Popen(command, env=served.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert watching.stdout.readline().startswith("{")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
        assert watching.stderr.read() == ""


def test_a_question_that_is_interrupted_does_nothing(served: CommandLine) -> None:
    terminal = served.open("client", "experiments", "delete", "baseline")
    terminal.wait_for(lambda text: "[y/N]" in text)
    # Where Ctrl-C comes just before Python begins to read, it is heard when a line is read: hence the Enter.
    terminal.type("\x03\n")
    code, text = terminal.end()
    assert code == 130
    assert "Traceback" not in text
    served.run("client", "experiments", "show", "baseline")


def test_a_long_transfer_shows_a_bar_on_a_terminal_only(served: CommandLine) -> None:
    (served.folder / "big.bin").write_bytes(os.urandom(1 << 20) * 8)
    # Half a second is what a transfer may take before it has a bar; here none may.
    code = (
        "import modelbox.client.progress as p; p.DELAY_S = 0; import sys; from modelbox.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ("client", "artifacts", "upload", "--parent-id", "digits", "--path", "big.bin")
    command = [sys.executable, "-c", code, *words]
    ended, seen = open_terminal(command, served.env, served.folder).end()
    assert ended == 0, seen
    assert "Uploading big.bin" in seen
    assert "B/s" in seen
    piped = subprocess.run(
        [sys.executable, "-c", code, *words], env=served.env, capture_output=True, text=True, check=True, cwd=served.folder
    )
    assert piped.stderr == ""


@pytest.mark.parametrize("words", [("--help",), ("client", "experiments", "list"), ("query", "params.lr < 1")], ids=" ".join)
def test_a_command_loads_nothing_heavy(served: CommandLine, words: tuple[str, ...]) -> None:
    code = (
        "import sys; from modelbox.cli.main import main; code = main(sys.argv[1:]); sys.stderr.write(' '.join(sys.modules)); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *words], env=served.env, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0
    assert not HEAVY & set(ended.stderr.split())
