"""From the TARGET of the command line to a subject.

The names of PEERS are built in; the name of a backend, refot's own or one that another package has
registered, is refot itself on that backend. `package.module:attr` is imported, `path/file.py:attr`
is loaded from the file. The attribute is a subject: an object that offers capabilities as methods,
a class (instantiated without arguments), a module, a backend, or, with `--as CAPABILITY`, a bare
function.
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

PEERS = ("pot", "ott", "geomloss", "keops", "mdot-tnt", "regot", "flash-sinkhorn")


class TargetError(ValueError):
    """The target could not be loaded: says what was looked for and what went wrong."""


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
    """The targets that are names."""
    return (*PEERS, *backend_names())


def _on_backend(backend: Backend) -> Subject:
    """refot itself on the backend."""
    from .adapters.refot_itself import subject  # with all of refot, when it is examined

    return subject(backend)


def as_subject(found: Any, target: str, capability: str | None = None) -> Subject:
    """Any object as a subject of one part."""
    if isinstance(found, Subject):
        return found
    if capability is not None:
        if not callable(found):
            raise TargetError(f"{target}: a {type(found).__name__} is no {capability}")
        offered = {capability: found}
    else:
        found = _instance(found, target) if isinstance(found, type) else found
        if callable(_stated(found, "plan_entries", None, target)) and isinstance(found, Backend):
            return _on_backend(found)  # its softmin is not the one of CAPABILITIES
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
    """What the subject says of itself; None is as good as nothing."""
    try:
        stated = getattr(found, attribute, None)
    except Exception as error:
        raise TargetError(f"{target}: its attribute {attribute} raises {type(error).__name__}: "
                          f"{text_of(error)}") from error
    return default if stated is None else stated


def _allowed(allows: Any, what: str) -> dict[str, str]:
    """The faults of input that a documentation gives a meaning to, each with what it says."""
    from refot.verification.cases.faults import (
        FAULTS,
    )  # with all checks, which most that import this do not need

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
    sys.path.insert(0, "")  # the folder where the user stands, as `python -m` has it
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
    sys.path.insert(0, str(path.resolve().parent))  # its siblings, as for `python path/file.py`
    try:
        with isolated():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise TargetError(f"{path}: fails on import: {type(error).__name__}: {error}") from error
    return module
