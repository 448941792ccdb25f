"""Everything public says what it does."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

PACKAGES = ("modelbox", "modelbox_server", "modelbox_widgets")
# The name of a test is a sentence already, and a handler's verbs do what its class says.
VERBS = {"get", "head", "post", "put", "patch", "delete", "options", "prepare"}


def modules() -> Iterator[str]:
    """Every module of the three packages, found without importing more than packages."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield name
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                yield module.name


def undocumented(module: ModuleType) -> Iterator[str]:
    """Names in `__all__`, and public members of the classes among them, that have no docstring of their own."""
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue  # the docstring of a constant is for readers of the source
        if not own_docstring(value):
            yield name
        if inspect.isclass(value) and value.__module__.split(".")[0] in PACKAGES:
            for member_name, member in vars(value).items():
                target = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                public = not member_name.startswith(("_", "test_")) and member_name not in VERBS and inspect.isfunction(target)
                if public and not inspect.getdoc(getattr(value, member_name)):
                    yield f"{name}.{member_name}"


def own_docstring(value: object) -> str | None:
    """Return the docstring, unless Python made it up from a signature (dataclasses) or took it over from a base class."""
    text = value.__dict__.get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)
    return None if inspect.isclass(value) and text is not None and text.startswith(f"{value.__name__}(") else text


@pytest.mark.parametrize("name", list(modules()))
def test_every_module_and_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is for"
    assert list(undocumented(module)) == []


@pytest.mark.parametrize("name", list(modules()))
def test_every_name_in_all_exists(name: str) -> None:
    module = importlib.import_module(name)
    names = list(getattr(module, "__all__", ()))
    assert [one for one in names if not hasattr(module, one)] == []
    assert len(names) == len(set(names))
