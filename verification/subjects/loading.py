"""From the TARGET of the command line to a subject.

TARGET is one of these:
- a name in PEERS: that library;
- the name of a backend, built in or registered by another package: refot itself on that backend;
- `package.module:attr` or `path/file.py:attr`: an attribute of a module that is imported.

The attribute may be a Subject, an object or module that offers capabilities as functions, a class
of such objects (called without arguments), a backend, or, with `--as CAPABILITY`, a function.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from refot.arrays import as_positive, lookup
from refot.backend_contract import Backend, BackendUnavailableError, backend_names, get_backend
from refot.conventions.unbalanced import declared_name

from .capabilities import CAPABILITIES
from .isolation import isolated
from .subject import Part, Subject
from .text import text_of

PEERS = ("pot", "ott", "geomloss", "keops", "mdot-tnt", "regot", "curegot", "torchgw",
         "flash-sinkhorn")
"""The names of the libraries for which refot has an adapter (`adapters/`)."""


class TargetError(ValueError):
    """The target could not be loaded; the message says what was looked for and what went wrong."""


def load(target: str, capability: str | None = None) -> Subject:
    """The subject that TARGET names. Raises TargetError."""
    if capability is not None:
        lookup(CAPABILITIES, capability, "--as")
    if capability is not None and target in _names():
        raise TargetError(f"--as {capability}: {target} says itself what its parts offer")
    try:
        if target in PEERS:
            module = target.replace("-", "_")
            adapter = importlib.import_module(f"refot.verification.subjects.adapters.{module}")
            return adapter.subject()  # type: ignore[no-any-return]
        if target in backend_names():
            return _on_backend(get_backend(target))
    except (ImportError, BackendUnavailableError) as error:
        raise TargetError(f"{target}: {error}") from error
    return as_subject(_attribute(target), target, capability)


def _names() -> tuple[str, ...]:
    """The targets that are a mere name: of a library with an adapter, or of a backend."""
    return (*PEERS, *backend_names())


def _on_backend(backend: Backend) -> Subject:
    """refot itself on the backend."""
    # imported here, since it imports nearly all of refot
    from .adapters.refot_itself import subject

    return subject(backend)


def as_subject(found: Any, target: str, capability: str | None = None) -> Subject:
    """The object `found` as a subject.

    A Subject is returned as it is, and a backend becomes refot itself on this backend. All else
    becomes a subject of one part. If a capability is given (by --as), `found` is the function for
    it. If none is given, the part offers the attributes of `found` that can be called and have the
    name of a capability.
    """
    if isinstance(found, Subject):
        return found
    if capability is not None:
        if not callable(found):
            raise TargetError(f"{target}: a {type(found).__name__} is no {capability}")
        offered = {capability: found}
    else:
        found = _instance(found, target) if isinstance(found, type) else found
        if callable(_stated(found, "plan_entries", None, target)) and isinstance(found, Backend):
            # A backend has a method `softmin`, too, but with other arguments than the capability
            # of that name. It must not be called as if it were that capability.
            return _on_backend(found)
        offered = {name: attribute for name in CAPABILITIES
                   if callable(attribute := _stated(found, name, None, target))}
    if not offered:
        raise TargetError(
            f"{target}: offers none of {', '.join(CAPABILITIES)}; for a "
            "bare function, say which one it is with --as CAPABILITY")
    name, version, declared, tolerance, allows = (
        _stated(found, attribute, default, target) for attribute, default in (
            ("name", target), ("version", ""), ("convention", "refot"), ("tolerance", None),
            ("allows", {})))
    if tolerance is not None:
        tolerance = as_positive(tolerance, f"{target}.tolerance")
    part = Part(str(name), offered, declared_name(declared), tolerance,
                allows=_allowed(allows, f"{target}.allows"))
    return Subject(part.name, str(version), (part,))


def _stated(found: Any, attribute: str, default: Any, target: str) -> Any:
    """An attribute of the subject, or the default if it has none or None."""
    try:
        stated = getattr(found, attribute, None)
    except Exception as error:
        raise TargetError(f"{target}: its attribute {attribute} raises {type(error).__name__}: "
                          f"{text_of(error)}") from error
    return default if stated is None else stated


def _allowed(allows: Any, what: str) -> dict[str, str]:
    """The attribute `allows` of a subject, checked: names of faults of the input, each with the
    sentence of the subject's documentation that allows it."""
    # imported here, since most of those who import this file need no faults
    from refot.verification.cases.faults import FAULTS

    if not isinstance(allows, Mapping):
        raise TargetError(f"{what}: a {type(allows).__name__} where a dict is due, of a fault of "
                          "the input to what the documentation says of it")
    known = {fault.name: fault for fault in FAULTS}
    for name in allows:
        lookup(known, name, what)
    return {name: text_of(said) for name, said in allows.items()}


def _instance(found: type, target: str) -> Any:
    try:
        with isolated():
            return found()
    except (Exception, SystemExit) as error:
        raise TargetError(f"{target}: {found.__name__}() fails: {type(error).__name__}: "
                          f"{text_of(error)}") from error


def _attribute(target: str) -> Any:
    place, colon, path = target.rpartition(":")
    if not colon or not place or not path:
        names = ", ".join(_names())
        raise TargetError(f"{target!r}: neither one of {names} nor module:attribute "
                          "nor path/file.py:attribute")
    found: Any = _file(Path(place)) if place.endswith(".py") else _module(place)
    for name in path.split("."):
        if not hasattr(found, name):
            raise TargetError(f"{target}: {place} has no attribute {name!r}")
        found = getattr(found, name)
    return found


def _module(name: str) -> ModuleType:
    # modules of the working folder can be imported, as with `python -m`
    sys.path.insert(0, "")
    try:
        with isolated():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise TargetError(f"{name}: cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove("")


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"_refot_target_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # the file can import modules beside it, as with `python path/file.py`
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with isolated():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise TargetError(f"{path}: fails on import: {type(error).__name__}: {error}") from error
    return module
