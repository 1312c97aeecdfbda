"""A researcher's own parts: registered from their own file, then known by name to every command and table.

    # mine.py
    from piaa.extensions import register_aggregator, register_front_end, register_metric, register_recipe

    @register_aggregator("top3")
    def mean_of_top3(probabilities):  # N x M x C -> N x C
        return probabilities.topk(3, dim=1).values.mean(dim=1)

Then `piaa --extension mine.py fit ...`, or the environment variable PIAA_EXTENSIONS, or `import mine` in Python.
The whole example is in docs/extending.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from piaa.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from piaa.baselines import Method
    from piaa.method.aggregators import Aggregator
    from piaa.method.recipes import Recipe
    from piaa.vision.front_ends import Trace
    from piaa.vision.towers import Tower

VARIABLE = "PIAA_EXTENSIONS"
T = TypeVar("T")


def register_front_end(
    name: str, needs: Callable[[int], frozenset[int]] | None = None
) -> Callable[[Callable[[Tower, Trace], Tensor]], Callable[[Tower, Trace], Tensor]]:
    """Decorator: a function `(tower, trace) -> N x M x d` becomes the front-end `name`.

    Args:
        name: for `--front-end`.
        needs: depth to the block numbers whose outputs the function reads (0 is the embedding); by default the
            input of the last block alone.

    Raises:
        InputError: when the name is taken or is no plain word.
    """
    from piaa.vision.front_ends import FRONT_ENDS, FrontEnd
    from piaa.vision.front_ends.base import only_last_input

    def add(function: Callable[[Tower, Trace], Tensor]) -> Callable[[Tower, Trace], Tensor]:
        _enter(FRONT_ENDS, "front-end", name.lower(), FrontEnd(name.lower(), function, needs or only_last_input))
        return function

    return add


def register_aggregator(name: str) -> Callable[[Aggregator], Aggregator]:
    """Decorator: a function of patch probabilities N x M x C to N x C, for `Recipe(aggregator=name)`.

    Raises:
        InputError: when the name is taken or is no plain word.
    """
    from piaa.method.aggregators import AGGREGATORS

    def add(function: Aggregator) -> Aggregator:
        _enter(AGGREGATORS, "aggregator", name, function)
        return function

    return add


def register_recipe(recipe: Recipe) -> Recipe:
    """Make a recipe known by its name, for `--recipe`.

    Raises:
        InputError: when the name is taken or is no plain word.
    """
    from piaa.method.recipes import RECIPES

    _enter(RECIPES, "recipe", recipe.name, recipe)
    return recipe


def register_method(method: Method) -> Method:
    """Make a method known by its name, for `--method`: an instance of a subclass of `piaa.baselines.Method`.

    Raises:
        InputError: when the name is taken or is no plain word.
    """
    from piaa.baselines import METHODS, PIAA

    check_new_name({PIAA: None}, "method", method.name)
    _enter(METHODS, "method", method.name, method)
    return method


def register_metric(name: str) -> Callable[[Callable[[Tensor, Tensor], float]], Callable[[Tensor, Tensor], float]]:
    """Decorator: a function of scores N x C and labels N x C to a number becomes a line of `piaa eval` and of results.

    Raises:
        InputError: when the name is taken or is no plain word.
    """
    from piaa.evaluation import metrics

    return metrics.register_metric(name)


def load_extensions(files: Iterable[str | os.PathLike[str]] = ()) -> list[str]:
    """Run the given files, and those that PIAA_EXTENSIONS names, each once in a process.

    Returns:
        The files, as given.

    Raises:
        InputError: a file is not there or fails; the message has its own error.
    """
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    wanted = [*(os.fspath(file) for file in files), *filter(None, named)]
    for file in wanted:
        _run(Path(file).expanduser())
    return wanted


def _run(path: Path) -> None:
    name = f"piaa_extension_{path.stem}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{path}: no such extension; name a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{path}: this extension fails: {kind}{error}") from error


def _enter(registry: MutableMapping[str, T], kind: str, name: str, value: T) -> None:
    check_new_name(registry, kind, name)
    registry[name] = value


def check_new_name(registry: Mapping[str, object], kind: str, name: str) -> None:
    """Refuse a name that is taken or cannot be typed on a command line.

    Raises:
        InputError: saying which.
    """
    if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise InputError(f"a {kind} cannot be called {name!r}; use letters, digits, '-', '_' and '.'")
    if name in registry:
        raise InputError(f"a {kind} called {name!r} exists already; choose another name")
