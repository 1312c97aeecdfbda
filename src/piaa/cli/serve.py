"""`piaa serve`: labels over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from piaa.cli import options
from piaa.cli.console import console, show_note, show_weights, shows_errors
from piaa.errors import InputError

Thresholds = dict[str, dict[str, float]]


@shows_errors
def serve(
    classifiers: Annotated[
        list[Path] | None, typer.Argument(help="Files that 'piaa fit' wrote; each is called after its file.")
    ] = None,
    name: Annotated[list[str] | None, typer.Option(help="NAME=FILE: a classifier and what to call it.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is reachable from other machines.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free, and says which.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with a key that clients must send; or the variable PIAA_API_KEY.")
    ] = None,
    thresholds: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE.json: a named set, {class: calibrated score}.")
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 32 * 2**20,
    max_pixels: Annotated[int, typer.Option(min=1, help="Width x height of an image.")] = 89_478_485,
    max_images: Annotated[int, typer.Option(min=1, help="Images of a request.")] = 64,
    queue: Annotated[int, typer.Option(min=1, help="Images that may wait, of all requests.")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds of a request.")] = 60.0,
    quality: options.RunQuality = None,
    keep_foreign: options.KeepForeign = False,
    device: options.Device = "auto",
    engine: options.EngineName = None,
    batch_size: options.BatchSize = 0,
    workers: options.Workers = 2,
    head: options.NoHead = None,
) -> None:
    """Tag images over HTTP: POST /v1/tag. Changed classifier files are loaded anew. SIGTERM ends it in order."""
    options.refuse_head(head, "the service answers by classifiers alone")
    files = named_files(classifiers or [], name or [])
    sets = read_sets(thresholds or [])
    try:
        import fastapi_offline  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
    except ImportError as error:
        raise InputError(f"the service needs {error.name}: in a checkout: pip install -e '.[serve]'") from error
    from piaa.serve.app import Service
    from piaa.serve.reload import Loader, Shelf, check_sets
    from piaa.serve.server import listen, run
    from piaa.serve.settings import Settings, read_key

    settings = Settings(max_bytes, max_pixels, max_images, queue, timeout, workers, read_key(api_key_file))
    listener = listen(host, port)
    with listener:
        chosen = {
            "quality": quality, "device": device, "engine": engine, "batch_size": batch_size,
            "keep_foreign": keep_foreign,
        }  # fmt: skip
        loader = Loader(chosen, sets)
        shelf = Shelf(files, loader)
        check_sets(shelf, sets)
        service = Service(settings, shelf)
        for held in shelf.held.values():
            show_weights(held.loaded.scorer.setup.model)
        if settings.api_key is None and host not in ("127.0.0.1", "::1", "localhost"):
            show_note("no API key is set, so whoever reaches this address may use the service")
        where = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        line = f"serving {', '.join(files)} at {where} (its interface is shown at {where}/docs)"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
        run(service, listener)
        console.print("ended; every request underway was answered", highlight=False)


def named_files(classifiers: list[Path], names: list[str]) -> dict[str, Path]:
    """Name to file; a file without a name has that of the file, without its ending.

    Raises:
        InputError: for none at all, a name given twice, or one without a file.
    """
    files: dict[str, Path] = {}
    pairs = [(path.stem, path) for path in classifiers] + [_pair(text, "--name") for text in names]
    for name, path in pairs:
        if name in files:
            raise InputError(f"two classifiers are called {name!r}; name them with --name NAME=FILE")
        files[name] = path
    if not files:
        raise InputError("no classifier: name a file that 'piaa fit' wrote")
    return files


def read_sets(texts: list[str]) -> Thresholds:
    """The named sets of thresholds.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    sets: Thresholds = {}
    for name, path in (_pair(text, "--thresholds") for text in texts):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: the thresholds cannot be read: {error}") from error
        if not isinstance(values, dict) or not all(isinstance(v, int | float) for v in values.values()) or not values:
            raise InputError(f'{path}: wanted one JSON object, such as {{"umbrella": 0.7}}')
        if name in sets or name == "learnt":
            raise InputError(f"the set of thresholds {name!r} exists already; choose another name")
        sets[name] = {str(label): float(value) for label, value in values.items()}
    return sets


def _pair(text: str, option: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or not name.strip() or not path:
        raise InputError(f"{option} wants NAME=FILE, got {text!r}")
    return name, Path(path)
