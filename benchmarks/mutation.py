"""How much the unit tests notice: mutants of the modules that a verdict hangs on, and those of them that no test sees.

    .venv/bin/python benchmarks/mutation.py [--module gateway/core/tracker.py] [--jobs 2] [--line 120]

The mutants are those of mutmut's operators and of three of our own that it lacks (a statement removed, a condition forced
either way, a return without its value). mutmut's own runner is not used: it swaps functions inside a running interpreter and so
leaves out tables, enumerations, constants and decorated functions, which is half of what a protocol module is made of. Here
each mutant is a fork that imports the changed source in place of the file and runs the module's tests, cheapest first, up to
the first failure. Same sources and tests → same result: hypothesis draws the same examples every time and the limits are CPU
seconds. Exit status 1 when a module is below its bound.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import gc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path

import hypothesis
import libcst as cst
import libcst.matchers as m
import numpy as np  # noqa: F401 - imported once here instead of in every fork
import pydantic  # noqa: F401
import pytest
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import Mutation, MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

REPO = Path(__file__).resolve().parent.parent
LEAST = 0.95
TRACKER = tuple(f"tests/unit/core/test_tracker{part}.py" for part in ("", "_edges", "_machine"))
WRITER = ("tests/unit/control/test_writer.py", "tests/unit/control/test_writer_edges.py")
#: Module → the tests that have to notice its mutants.
TARGETS = {
    "gateway/core/tracker.py": TRACKER,
    "gateway/core/handshake.py": ("tests/unit/core/test_handshake.py",),
    "gateway/control/writer.py": WRITER,
    "gateway/core/binding.py": ("tests/unit/core/test_binding.py", *TRACKER),
    "gateway/control/pending.py": ("tests/unit/control/test_pending.py",),
    "gateway/control/status.py": ("tests/unit/control/test_status.py", "tests/unit/control/test_status_edges.py"),
}
KILLED, SURVIVED, TIMED_OUT, BROKEN = 1, 0, 77, 70
MEMORY = 4 << 30


# -- making mutants ---------------------------------------------------------------------------------------------------------


def _ours(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Yield what mutmut does not change, as (node, in its place)."""
    if isinstance(node, cst.Raise | cst.Del) or (isinstance(node, cst.Expr) and not isinstance(node.value, cst.BaseString)):
        yield node, cst.Pass()
    elif isinstance(node, cst.Return) and node.value is not None:
        yield node.value, cst.Name("None", lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    elif isinstance(node, cst.If | cst.While | cst.CompIf):
        yield node.test, cst.Name("False")
        if not isinstance(node, cst.While):
            yield node.test, cst.Name("True")


class _Visitor(MutationVisitor):
    """mutmut's visitor with our changes beside its own.

    It also goes into decorated functions: what replaces a whole source may change what a patched function could not. It leaves
    out the aliases of types, which nothing but a type checker reads.
    """

    def _create_mutations(self, node: cst.CSTNode) -> None:
        super()._create_mutations(node)
        self.mutations += [Mutation(old, new, None) for old, new in _ours(node)]

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Assign) and m.matches(node.value, m.Subscript(value=m.Name("Literal"))):
            return True
        skipped: bool = super()._skip_node_and_children(node)
        return skipped and not (isinstance(node, cst.FunctionDef) and bool(node.decorators))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One changed source and the line where it is changed."""

    source: str
    line: int


def mutants_of(source: str, lines: Sequence[int] = ()) -> list[Mutant]:
    """Return the different mutants of a module in the order of its lines, or only those of some lines."""
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    places, spans = wrapper.resolve(PositionProvider), wrapper.resolve(ByteSpanPositionProvider)
    module = wrapper.visit(visitor)
    data = source.encode()
    made = {ast.dump(ast.parse(source)): Mutant(source=source, line=0)}
    for mutation in visitor.mutations:
        span, line = spans[mutation.original_node], places[mutation.original_node].start.line
        if not lines or line in lines:
            new = module.code_for_node(mutation.mutated_node).encode()
            text = (data[: span.start] + new + data[span.start + span.length :]).decode()
            made.setdefault(ast.dump(ast.parse(text)), Mutant(source=text, line=line))
    return sorted((mutant for mutant in made.values() if mutant.line), key=lambda mutant: mutant.line)


def difference(old: str, new: str) -> list[str]:
    """Return the lines that differ, but for their indentation."""
    pair = ([line.strip() for line in text.splitlines()] for text in (old, new))
    return [line for line in difflib.unified_diff(*pair, n=0, lineterm="") if line[:3] not in ("---", "+++") and line[0] != "@"]


# -- running the tests on one ---------------------------------------------------------------------------------------------


class _Swap(MetaPathFinder):
    """Serves the mutant in place of the module's file."""

    def __init__(self, path: Path, source: str) -> None:
        self._name = ".".join(path.relative_to(REPO).with_suffix("").parts)
        self._path, self._source = str(path), source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = importlib.machinery.SourceFileLoader(fullname, self._path)
        loader.get_code = lambda _name: compile(self._source, self._path, "exec", dont_inherit=True)  # type: ignore[method-assign]
        return importlib.util.spec_from_file_location(fullname, self._path, loader=loader)


@dataclass(slots=True)
class _Plugin:
    """Cheapest tests first, and a limit of CPU time for each; without limits it measures them."""

    cpu_s: dict[str, float]
    measured: dict[str, float] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda i: (self.cpu_s.get(i.nodeid, 0.0), i.nodeid))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        begun = time.process_time()
        limit = 10 * self.cpu_s.get(item.nodeid, 1e6) + 1.0
        signal.signal(signal.SIGPROF, _too_long)
        signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_PROF, limit)
        signal.setitimer(signal.ITIMER_REAL, limit + 60)  # for one that waits for ever and computes nothing
        yield
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # Hundredths, rounded up, so that the order of the tests is nearly always the same.
        self.measured[item.nodeid] = (int((time.process_time() - begun) * 100) + 1) / 100


def _too_long(_signal: int, _frame: types.FrameType | None) -> None:
    os._exit(TIMED_OUT)


def _run_tests(path: Path, source: str, tests: Sequence[str], plugin: _Plugin) -> int:
    """Run the tests on ``source`` in this process; return pytest's exit status."""
    sys.meta_path.insert(0, _Swap(path, source))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # Nothing that one mutant's failure teaches may help to find the next: no database of examples, no shrinking.
    hypothesis.settings.register_profile(
        "mutation", database=None, derandomize=True, phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate)
    )
    hypothesis.settings.load_profile("mutation")
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        quiet = ("-x", "-q", "-p", "no:cacheprovider", "--timeout=0", "-W", "ignore::pytest.PytestAssertRewriteWarning")
        return int(pytest.main([*quiet, *tests], plugins=[plugin]))


def _forked(path: Path, source: str, tests: Sequence[str], plugin: _Plugin, report: Path | None = None) -> int:
    """Return the id of a child that exits with KILLED, SURVIVED or TIMED_OUT."""
    child = os.fork()
    if child:
        return child
    try:
        status = _run_tests(path, source, tests, plugin)
        if report is not None:
            report.write_text(json.dumps(plugin.measured))
        # 1: a test failed; 2 and 3: the module or a test file could not even be imported. Anything else is our own mistake.
        os._exit({0: SURVIVED, 1: KILLED, 2: KILLED, 3: KILLED}.get(status, BROKEN))
    finally:
        os._exit(BROKEN)


def measure(path: Path, source: str, tests: Sequence[str]) -> dict[str, float]:
    """Return the CPU seconds of each test on the unchanged module; RuntimeError if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _, status = os.waitpid(_forked(path, source, tests, _Plugin({}), report), 0)
        if os.waitstatus_to_exitcode(status) != SURVIVED:
            raise RuntimeError(f"the tests of {path} fail without any change")
        measured: dict[str, float] = json.loads(report.read_text())
    return measured


def run(path: Path, mutants: Sequence[Mutant], tests: Sequence[str], cpu_s: dict[str, float], jobs: int) -> list[int]:
    """Return what became of each mutant."""
    fates = [-1] * len(mutants)
    running: dict[int, int] = {}
    for i in range(len(mutants) + 1):
        while running and (len(running) >= jobs or i == len(mutants)):
            child, status = os.wait()
            # A signal that ended it (memory, CPU) is a failure like any other.
            code = os.waitstatus_to_exitcode(status)
            fates[running.pop(child)] = KILLED if code < 0 else code
            print(f"\r{sum(f >= 0 for f in fates)} of {len(mutants)} ", end="", file=sys.stderr, flush=True)
        if i < len(mutants):
            running[_forked(path, mutants[i].source, tests, _Plugin(cpu_s))] = i
    if not set(fates) <= {KILLED, SURVIVED, TIMED_OUT}:
        raise RuntimeError(f"pytest could not be run: {Counter(fates)}")
    return fates


def score(module: str, jobs: int, lines: Sequence[int]) -> float:
    """Print the module's survivors and its tally; return the share of mutants that were noticed."""
    path, tests = REPO / module, [t for t in TARGETS[module] if (REPO / t).exists()]
    begun, source = time.monotonic(), path.read_text()
    cpu_s = measure(path, source, tests)
    mutants = mutants_of(source, lines)
    fates = run(path, mutants, tests, cpu_s, jobs)
    for mutant, fate in zip(mutants, fates, strict=True):
        if fate == SURVIVED:
            print(f"{module}:{mutant.line}", *difference(source, mutant.source), sep="\n    ")
    tally = Counter(fates)
    noticed = 1 - tally[SURVIVED] / max(1, len(mutants))
    print(
        f"{module}: {len(mutants)} mutants, {tally[KILLED]} killed, {tally[TIMED_OUT]} timed out, {tally[SURVIVED]} survived:"
        f" {noticed:.1%} noticed by {len(cpu_s)} tests in {(time.monotonic() - begun) / 60:.1f} min",
        flush=True,
    )
    return noticed


def main() -> int:
    """Score the modules."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--module", choices=sorted(TARGETS), action="append", help="may be given more than once; all by default"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time (default: one a core)")
    parser.add_argument("--line", type=int, nargs="+", default=(), help="only the mutants of these lines")
    args = parser.parse_args()
    os.chdir(REPO)
    for plugin in importlib.metadata.entry_points(group="pytest11"):
        plugin.load()  # what every fork would import
    gc.freeze()
    with tempfile.TemporaryDirectory() as cache:
        sys.dont_write_bytecode, sys.pycache_prefix = False, cache  # the test files are compiled once, not in every fork
        scores = [score(module, args.jobs, args.line) for module in args.module or TARGETS]
    return int(min(scores) < LEAST)


if __name__ == "__main__":
    sys.exit(main())
