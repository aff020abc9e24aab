"""What Python code imports, calls and hands to a shell, as far as it can be read without running it."""

import ast
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager

from studiolo.contract.scans import Finding, Place
from studiolo.packages.scan import commands, rules
from studiolo.packages.scan.grounds import Grounds, host_of, is_address
from studiolo.packages.scan.rules import clipped

# What a blocked module is made of: to import that is to go around the rule.
_BENEATH = {"subprocess": ("_posixsubprocess",), "socket": ("_socket",), "ctypes": ("_ctypes",)}
_SAME_CALLS = {"os.": ("posix.", "nt.")}
_SHELL_CELLS = frozenset({"bash", "sh", "script", "system", "sx", "!", "zsh"})
_SHELL_LINES = frozenset({"system", "sx", "sc", "!"})
_PYTHON_CELLS = frozenset({"time", "timeit", "prun", "capture", "python", "python3", "pypy", "debug", "memit", "mprun"})
_PYTHON_LINES = frozenset({"time", "timeit", "prun", "memit", "debug"})
_INSTALLERS = frozenset({"pip", "conda", "mamba", "micromamba", "uv"})
_FOREIGN_CODE = frozenset({"run", "load", "loadpy", "load_ext", "macro"})
_LONGEST = 1_000_000
_DEEPEST = 4


@functools.cache
def _transformer() -> TransformerManager:
    make: Callable[[], TransformerManager] = TransformerManager
    return make()


def judge_cell(source: str, place: Place, grounds: Grounds, *, depth: int = 0) -> Iterator[Finding]:
    """Yield what is to be said about a cell of a notebook, in IPython's dialect."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = _transformer().transform_cell(source)
    # The transformer's own faults with code that is none: it says so by SyntaxError and others.
    except Exception as exc:
        yield rules.UNPARSABLE.found(place, f"IPython cannot read it: {clipped(str(exc))}", "transform")
        return
    # It leaves out empty lines at the beginning.
    before = len(source) - len(source.lstrip())
    yield from judge_python(plain, _at(place, source.count("\n", 0, before) + 1), grounds, depth=depth)


def judge_python(source: str, place: Place, grounds: Grounds, *, depth: int = 0) -> Iterator[Finding]:
    """Yield what is to be said about Python code; lines are counted on from the place's."""
    if len(source) > _LONGEST:
        yield rules.UNPARSABLE.found(place, f"It has {len(source)} characters; {_LONGEST} are read", "length")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        line = getattr(exc, "lineno", None) or 1
        yield rules.UNPARSABLE.found(_at(place, line), clipped(f"{type(exc).__name__}: {exc}"), "parse")
        return
    yield from _Reading(place, grounds, depth).judge(tree)


def _at(place: Place, line: int) -> Place:
    return place.model_copy(update={"line": (place.line or 1) + line - 1})


@dataclass(slots=True)
class _Reading:
    """One piece of code: `names` holds what each name in it was imported as."""

    place: Place
    grounds: Grounds
    depth: int
    names: dict[str, str] = field(default_factory=dict)

    def judge(self, tree: ast.AST) -> Iterator[Finding]:
        nodes = list(ast.walk(tree))
        # Names first: a function may use what is imported below it.
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield from self._judge_import(node)
        for node in nodes:
            if isinstance(node, ast.Call):
                yield from self._judge_call(node)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._judge_use(node)

    def _judge_import(self, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield from self._judge_module(alias.name, node)
            return
        if node.level:
            return
        module = node.module or ""
        yield from self._judge_module(module, node)
        for alias in node.names:
            full = f"{module}.{alias.name}"
            self.names[alias.asname or alias.name] = full
            if alias.name == "*":
                for call in sorted(self.grounds.calls):
                    if call.rpartition(".")[0] == module:
                        yield rules.BLOCKED_CALL.found(self._of(node), f"from {module} import * brings {call}")
            else:
                # A submodule, or the function itself: its use is found where it is used.
                yield from self._judge_module(full, node, only_listed=True)
                yield from self._judge_name(full, node)

    def _judge_module(self, name: str, node: ast.AST, *, only_listed: bool = False) -> Iterator[Finding]:
        if (rule := self._blocked_module(name)) is not None:
            told = f"import {name}" if name == rule else f"import {name}, which rule {rule!r} covers"
            # `from socket import x` is told of once.
            if not (only_listed and self._blocked_module(name.rpartition(".")[0])):
                yield rules.BLOCKED_IMPORT.found(self._of(node), told, name)
        elif not only_listed and (refusing := self._blocked_package(name.partition(".")[0])) is not None:
            what = f"import {name}, refused by the rule {refusing!r}"
            yield rules.BLOCKED_PACKAGE_USED.found(self._of(node), what, name)

    def _blocked_package(self, name: str) -> str | None:
        return None if name in sys.stdlib_module_names else self.grounds.block(name)

    def _blocked_module(self, name: str) -> str | None:
        for rule in sorted(self.grounds.modules):
            for module in (rule, *_BENEATH.get(rule, ())):
                if name == module or name.startswith(f"{module}."):
                    return rule
        return None

    def _judge_use(self, node: ast.Attribute | ast.Name) -> Iterator[Finding]:
        full = self._resolve(node)
        # A name that was imported was judged with its import.
        if full is not None and isinstance(node, ast.Attribute):
            yield from self._judge_name(full, node)

    def _judge_name(self, full: str, node: ast.AST) -> Iterator[Finding]:
        for rule in sorted(self.grounds.calls):
            if full == rule or any(
                full == other + rule.removeprefix(package)
                for package, others in _SAME_CALLS.items()
                if rule.startswith(package)
                for other in others
            ):
                yield rules.BLOCKED_CALL.found(self._of(node), full, full)

    def _judge_call(self, node: ast.Call) -> Iterator[Finding]:
        full = self._resolve(node.func) or ""
        first = _text(node.args[0]) if node.args else None
        if full in ("__import__", "importlib.import_module", "importlib.__import__", "builtins.__import__"):
            if first is None:
                yield rules.DYNAMIC.found(self._of(node), f"{full}(…) of a name that is computed")
            else:
                yield from self._judge_module(first, node)
        elif full in ("eval", "exec", "compile", "builtins.eval", "builtins.exec") and node.args:
            if first is None:
                yield rules.DYNAMIC.found(self._of(node), f"{full}(…) of text that is computed")
            elif self.depth < _DEEPEST:
                yield from judge_python(first, self._of(node), self.grounds, depth=self.depth + 1)
        elif full == "getattr" and len(node.args) > 1 and self._is_of_rules(node.args[0]):
            name = _text(node.args[1])
            if name is None:
                yield rules.DYNAMIC.found(
                    self._of(node), f"getattr({self._resolve(node.args[0])}, …) of a computed name"
                )
            else:
                yield from self._judge_name(f"{self._resolve(node.args[0])}.{name}", node)
        elif full.endswith(("ctypes.CDLL", "ctypes.PyDLL", "ctypes.cdll.LoadLibrary")):
            yield rules.DYNAMIC.found(self._of(node), f"{full}(…) calls functions that no rule sees")
        elif isinstance(node.func, ast.Attribute) and _is_ipython(node.func.value):
            yield from self._judge_ipython(node.func.attr, [_text(argument) for argument in node.args], node)

    def _judge_ipython(self, method: str, given: list[str | None], node: ast.Call) -> Iterator[Finding]:
        place, name, text = self._of(node), given[0] if given else None, " ".join(one or "" for one in given[1:])
        if method in ("system", "getoutput", "getoutput_split") and name is not None:
            yield from commands.judge(name, place, self.grounds)
        elif method in ("run_line_magic", "magic") and name is not None:
            yield from self._judge_line_magic(name, text, place)
        elif method == "run_cell_magic" and name is not None and len(given) > 2:
            yield from self._judge_cell_magic(name, given[1] or "", given[2] or "", place)
        elif method in ("system", "getoutput", "run_line_magic", "run_cell_magic", "run_cell", "magic"):
            yield rules.DYNAMIC.found(place, f"get_ipython().{method}(…) of text that is computed")

    def _judge_line_magic(self, name: str, text: str, place: Place) -> Iterator[Finding]:
        if name in _INSTALLERS:
            if (found := commands.read_magic(name, text)) is not None:
                yield from commands.judge_installation(found, place, self.grounds)
        elif name in _SHELL_LINES:
            yield from commands.judge(text, place, self.grounds)
        elif name in _PYTHON_LINES:
            yield from self._judge_inner(text, place, judge_cell)
        elif name in _FOREIGN_CODE:
            words = text.split()
            if words and is_address(words[0]):
                yield rules.REMOTE_SCRIPT.found(place, f"%{name} from {host_of(words[0])}")
        elif name == "env" or name == "set_env":
            yield from commands.judge(text.replace(" ", "=", 1) if "=" not in text else text, place, self.grounds)

    def _judge_cell_magic(self, name: str, line: str, body: str, place: Place) -> Iterator[Finding]:
        if name in _SHELL_CELLS:
            yield from commands.judge(body, _at(place, 2), self.grounds)
        elif name in _PYTHON_CELLS:
            yield from self._judge_inner(body, _at(place, 2), judge_cell)

    def _judge_inner(self, source: str, place: Place, judge: Callable[..., Iterator[Finding]]) -> Iterator[Finding]:
        if self.depth < _DEEPEST:
            yield from judge(source, place, self.grounds, depth=self.depth + 1)
        else:
            yield rules.DYNAMIC.found(place, "Code within code within code", "depth")

    def _is_of_rules(self, node: ast.expr) -> bool:
        """Whether attributes of this are what rules are about: of builtins, or of a module that a rule names."""
        full = self._resolve(node)
        watched = {rule.partition(".")[0] for rule in (*self.grounds.calls, *self.grounds.modules)}
        return full is not None and full.partition(".")[0] in watched | {"__builtins__", "builtins", "importlib"}

    def _resolve(self, node: ast.expr) -> str | None:
        """Return the dotted name of an expression, with what was imported put in for its first part."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if (
            isinstance(node, ast.Call)
            and node.args
            and isinstance(node.func, ast.Name)
            and node.func.id == "__import__"
        ):
            first = _text(node.args[0])
        else:
            first = self.names.get(node.id, node.id) if isinstance(node, ast.Name) else None
        return ".".join([first, *reversed(parts)]) if first is not None else None

    def _of(self, node: ast.AST) -> Place:
        return _at(self.place, getattr(node, "lineno", 1))


def _text(node: ast.expr) -> str | None:
    """Return the text that an expression is; None where it is computed, be it from texts."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bytes):
            return node.value.decode(errors="replace")
        return node.value if isinstance(node.value, str) else None
    return None


def _is_ipython(node: ast.expr) -> bool:
    return (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_ipython") or (
        isinstance(node, ast.Name) and node.id in ("ip", "ipython", "_ip")
    )
