"""A training script pays next to nothing for ``import modelbox``."""

import json
import subprocess
import sys

import pytest

import modelbox

HEAVY = {"pandas", "altair", "sqlalchemy", "jupyter_server", "pyarrow", "boto3", "numpy", "msgspec", "tornado", "IPython", "nanoarrow"}


def _modules_after(code: str) -> set[str]:
    program = f"{code}\nimport json, sys\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not _modules_after("import modelbox") & HEAVY


def test_importing_the_package_costs_less_than_50_ms() -> None:
    program = "import time; begin = time.process_time(); import modelbox; print(time.process_time() - begin)"
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 0.05


def test_logging_to_a_server_loads_no_pandas_and_no_sql() -> None:
    code = (
        "import modelbox\n"
        "from modelbox.errors import ServerUnreachable\n"
        "try:\n    modelbox.ModelBox('127.0.0.1:9').start('x')\n"
        "except ServerUnreachable:\n    pass"
    )
    assert not _modules_after(code) & {"pandas", "altair", "sqlalchemy", "jupyter_server", "pyarrow", "boto3", "tornado"}


def test_every_public_name_resolves_and_has_a_docstring() -> None:
    for name in modelbox.__all__:
        value = getattr(modelbox, name)
        assert value.__doc__, name


def test_dir_lists_what_is_public() -> None:
    assert set(modelbox.__all__) <= set(dir(modelbox))


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="strat"):
        modelbox.strat  # noqa: B018


def test_the_accessor_is_ready_when_pandas_was_imported_first() -> None:
    code = "import pandas, modelbox\nassert hasattr(pandas.DataFrame, 'modelbox')"
    _modules_after(code)
