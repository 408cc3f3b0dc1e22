"""Gathers the providers: those that ship with us, those of installed packages, those of a directory."""

from __future__ import annotations

from importlib.metadata import entry_points as installed
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, Any

from adapters.catalogue.catalogue import Catalogue
from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.provider_file import ProviderFile
from domain.provider import Provider

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from application.ports import ProviderAdapter

GROUP = "connections.providers"
"""The entry point group: each names a package that holds TOML files, or an object that is an adapter."""

Adapters = dict[str, "ProviderAdapter"]


def load_catalogue(extra_dir: Path | None, *, entry_points: bool = True) -> Catalogue:
    """Load every provider; what comes later overrides an earlier one of the same key.

    Built-in files first, then installed packages, then the files of `extra_dir`.

    Raises:
        CatalogueError: a description is wrong, a package cannot be loaded, two packages bring the same
            provider, or `extra_dir` is no directory.

    """
    adapters = _from_folder(files("adapters.catalogue.providers"), shipped=True)
    if entry_points:
        adapters |= _from_packages()
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise CatalogueError(str(extra_dir), "is not a directory")
        adapters |= _from_folder(extra_dir)
    return Catalogue(adapters)


def load_file(file: Path) -> ProviderAdapter:
    """Load one provider's file by itself.

    Raises:
        CatalogueError: it is wrong, cannot be read, or is not named like its key and `.toml`.

    """
    if file.suffix != ".toml":
        raise CatalogueError(str(file), "is not named *.toml")
    return ProviderFile(str(file), file.stem, _text(file)).parse()


def _from_folder(folder: Traversable, *, shipped: bool = False) -> Adapters:
    adapters: Adapters = {}
    try:
        found = sorted(folder.iterdir(), key=lambda file: file.name)
    except OSError as error:
        raise CatalogueError(str(folder), f"cannot be read: {error.strerror}") from error
    for file in found:
        if file.name.endswith(".toml"):
            key = file.name.removesuffix(".toml")
            adapters[key] = ProviderFile(str(file), key, _text(file), shipped).parse()
    return adapters


def _text(file: Traversable) -> str:
    try:
        return file.read_text("utf-8-sig")  # some editors begin a file with a mark of its encoding
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(str(file), f"cannot be read: {error}") from error


def _from_packages() -> Adapters:
    adapters: Adapters = {}
    for point in sorted(installed(group=GROUP), key=lambda point: point.name):
        for key, adapter in _from_entry_point(point).items():
            if key in adapters:
                raise CatalogueError(_source(point), f"brings {key!r}, which another package brings too")
            adapters[key] = adapter
    return adapters


def _from_entry_point(point: EntryPoint) -> Adapters:
    try:
        loaded = point.load()
    except Exception as error:
        raise CatalogueError(_source(point), f"cannot be loaded: {error!r}") from error
    if isinstance(loaded, ModuleType):
        adapters = _from_folder(files(loaded)) if hasattr(loaded, "__path__") else {}
        if not adapters:
            raise CatalogueError(
                _source(point),
                "is not a package that holds TOML files; its build takes them along only as package data",
            )
        return adapters
    if not _is_adapter(loaded):
        raise CatalogueError(
            _source(point), "is neither a package nor an object with provider, base_url, read"
        )
    return {loaded.provider.key: loaded}


def _is_adapter(loaded: Any) -> bool:
    methods = (getattr(loaded, name, None) for name in ("base_url", "read"))
    return isinstance(getattr(loaded, "provider", None), Provider) and all(map(callable, methods))


def _source(point: EntryPoint) -> str:
    return f"entry point {point.name!r} ({point.value})"
