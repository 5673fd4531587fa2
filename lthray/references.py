"""References: text that names a Python object of the user's, and the files that it needs.

`nets.py:Net` is in a file, relative to the folder of the sweep file; `package.module:Net` is where Python finds it. The
files that references need make a *code package*, a folder `lthray_code_<digest>`. Its parent folder is on `sys.path`
wherever the objects are used, so a digest is enough to find them.
"""

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from traceback import StackSummary, TracebackException
from types import ModuleType
from typing import Any, TypeVar

from lthray.errors import CodeError, InputError, OneLineError, first_line

Entry = TypeVar("Entry")

PACKAGE = "lthray_code_"
"""What the name of a code package begins with."""

_LTHRAY = f"{Path(__file__).parent}/"
_REFERENCE = re.compile(r"(?P<place>[^:]+\.py|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)")


def is_reference(text: object) -> bool:
    """Whether this is the form of a reference: `file.py:name` or `package.module:name`."""
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


def describe_exception(error: BaseException) -> CodeError:
    """An exception in the user's code, with the part of its traceback that is the user's.

    That part begins with the first line of a code package; where there is none, with the first line outside of lthray.
    A `CodeError` is returned as it is, and what lthray itself finds wrong needs no traceback.
    """
    if isinstance(error, CodeError):
        return error
    if isinstance(error, OneLineError):
        return CodeError(str(error), "")
    report = TracebackException.from_exception(error)
    frames = report.stack
    inside = [place for place, frame in enumerate(frames) if f"/{PACKAGE}" in frame.filename]
    outside = [place for place, frame in enumerate(frames) if not frame.filename.startswith((_LTHRAY, "<frozen "))]
    report.stack = StackSummary.from_list(frames[(inside or outside or [0])[0] :])
    text = re.sub(rf'"[^"]*/{PACKAGE}[0-9a-f]+/', '"', "".join(report.format()))
    where = ""
    if inside:
        frame = frames[inside[-1]]
        where = f" (line {frame.lineno} of {re.sub(rf'.*/{PACKAGE}[0-9a-f]+/', '', frame.filename)})"
    return CodeError(f"{type(error).__name__}: {first_line(error)}{where}", text.rstrip())


@contextmanager
def calling(reference: str) -> Iterator[None]:
    """Turns an exception of the user's code in the block into a `CodeError` that names the reference."""
    try:
        yield
    except (OneLineError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        raise describe_exception(error).prefixed(f"{reference}: ") from None


def load(reference: str, code: str = "") -> Any:
    """The object that a reference names.

    Args:
        reference: Such as `nets.py:Net`.
        code: Digest of the code package that holds the files; empty where there is none.

    Raises:
        InputError: it is no reference; there is no such file, module or name; or the file is no Python.
        CodeError: the file or module raises an exception when it is imported.
    """
    match = _REFERENCE.fullmatch(reference)
    if not match:
        raise InputError(f"{reference}: is no reference; its form is file.py:name or package.module:name")
    folder = package(code) if code else None
    with calling(reference):
        target: Any = _import(match["place"], folder, code, reference)
    for name in match["name"].split("."):
        try:
            target = getattr(target, name)
        except AttributeError:
            raise InputError(f"{reference}: {match['place']} has no {name}") from None
    return target


def package(code: str) -> Path:
    """The folder of a code package, wherever on `sys.path` it is.

    Raises:
        InputError: it is nowhere.
    """
    importlib.invalidate_caches()  # it may have been written after the path was last read
    try:
        return Path(next(iter(importlib.import_module(f"{PACKAGE}{code}").__path__)))
    except ModuleNotFoundError:
        raise InputError(f"the code package {PACKAGE}{code} is nowhere on Python's path") from None


def _import(place: str, folder: Path | None, code: str, reference: str) -> ModuleType:
    """Imports a file of a code package, or a module."""
    file = _file_of(place, folder) if folder else None
    try:
        if file is None:
            if place.endswith(".py"):
                raise InputError(f"{reference}: no such file")
            return importlib.import_module(place)
        return _import_file(file, folder, f"{PACKAGE}{code}.{place.removesuffix('.py').replace('/', '.')}")
    except SyntaxError as error:
        raise InputError(f"{reference}: line {error.lineno} of {error.filename}: {error.msg}") from None
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise InputError(f"{reference}: there is no module {error.name}") from None
        raise


def _file_of(place: str, folder: Path) -> Path | None:
    """The file of a place in a folder; None where the folder does not have it."""
    if place.endswith(".py"):
        return file if (file := folder / place).is_file() else None
    return next((file for file in _candidates(folder, place.split(".")) if file.is_file()), None)


def _candidates(folder: Path, parts: list[str]) -> Iterator[Path]:
    path = folder.joinpath(*parts)
    yield path.with_suffix(".py")
    yield path / "__init__.py"


def _import_file(file: Path, folder: Path | None, name: str) -> ModuleType:
    """Runs a file as the module `name`, once; it imports its neighbours as if its folder were the working folder."""
    if name in sys.modules:
        return sys.modules[name]
    path = str(folder or file.parent)
    # Of neighbours by the same name, those of this package count from now on, also where a function imports them late.
    sys.path[:] = [path, *(entry for entry in sys.path if f"/{PACKAGE}" not in entry)]
    for module in list(sys.modules):
        origin = getattr(sys.modules[module], "__file__", None) or ""
        if f"/{PACKAGE}" in origin and not origin.startswith(f"{path}/") and not module.startswith(PACKAGE):
            del sys.modules[module]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file}: can't be imported")
    module_ = importlib.util.module_from_spec(spec)
    sys.modules[name] = module_
    try:
        spec.loader.exec_module(module_)
    except BaseException:
        del sys.modules[name]
        raise
    return module_


def closure(folder: Path, references: Iterable[str]) -> dict[str, bytes]:
    """The local files that references need, by their POSIX paths relative to the folder.

    They are the files named, and all modules and packages beside them that they import, also inside of functions.

    Args:
        folder: The folder of the sweep file.
        references: References; those to installed modules need no local file.

    Raises:
        InputError: a file named is not there, is outside of the folder, or is no Python.
    """
    files: dict[str, bytes] = {}
    waiting: list[Path] = []
    for reference in references:
        place = reference.partition(":")[0]
        file = _file_of(place, folder)
        if file is None:
            if place.endswith(".py"):
                raise InputError(f"{reference}: there is no file {folder / place}")
            continue
        if not file.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{reference}: is outside of {folder}, the folder of the sweep file; put it there")
        waiting.append(file)
    while waiting:
        file = waiting.pop()
        path = file.relative_to(folder).as_posix()
        if path in files:
            continue
        files[path] = content = file.read_bytes()
        try:
            tree = ast.parse(content, str(file))
        except SyntaxError as error:
            raise InputError(f"{path}: line {error.lineno}: {error.msg}") from None
        waiting += _imported(tree, file, folder)
    return dict(sorted(files.items()))


def _imported(tree: ast.Module, file: Path, folder: Path) -> Iterator[Path]:
    """The local files that a file imports, the `__init__.py` of their packages among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            start = folder
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            names = [base, *([*base, alias.name] for alias in node.names)]
            start = file.parents[node.level - 1] if node.level else folder
        else:
            continue
        for parts in names:
            for depth in range(1, len(parts) + 1):
                yield from (path for path in _candidates(start, parts[:depth]) if path.is_file())
            _check_neighbour(parts, start, file, folder)


def _check_neighbour(parts: list[str], start: Path, file: Path, folder: Path) -> None:
    """Refuses an import that would find a file beside the importing one if that were in the sweep file's folder."""
    if start == file.parent or not parts or any(path.is_file() for path in _candidates(start, parts[:1])):
        return
    if (start / parts[0]).is_dir() or not any(path.is_file() for path in _candidates(file.parent, parts[:1])):
        return
    path, package_ = file.relative_to(folder), ".".join(file.parent.relative_to(folder).parts)
    raise InputError(
        f"{path.as_posix()}: imports {parts[0]} from its own folder, but imports are looked up from the sweep file's:"
        f" write {package_}.{parts[0]}, or .{parts[0]}"
    )


def digest(files: Mapping[str, bytes]) -> str:
    """Twelve hex digits that stand for the files and their content; empty where there are none."""
    if not files:
        return ""
    total = hashlib.sha256()
    for path, content in sorted(files.items()):
        total.update(f"{path} {len(content)} ".encode() + content)
    return total.hexdigest()[:12]


def find(registry: Mapping[str, Entry], group: str, name: str, code: str = "") -> Entry:
    """What a name stands for: an entry of the registry, a reference's object, or an entry point.

    Args:
        registry: What lthray brings.
        group: Name of the registry; packages offer their own as entry points of `lthray.<group>`.
        name: The name or reference.
        code: See `load`.

    Raises:
        InputError: it stands for nothing.
    """
    if name in registry:
        return registry[name]
    entry: Any = None
    if is_reference(name):
        entry = load(name, code)
    elif name in (offered := _offered(group)):
        entry = offered[name].load()
    else:
        raise InputError(
            f"{name}: allowed are {', '.join(names(registry, group))}, or a reference such as rules.py:name"
        )
    return entry  # type: ignore[no-any-return]


def names(registry: Iterable[str], group: str) -> list[str]:
    """The names that are known: those of the registry, and of installed packages."""
    return [*registry, *_offered(group)]


def _offered(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=f"lthray.{group}")}
