"""A Ctrl-C that comes while the commands are still being loaded is no reason for a traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPTED = """
import os, signal, sys
import gateway.cli

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

assert sys.argv[1] not in sys.modules
sys.meta_path.insert(0, Finder())
sys.exit(gateway.cli.main(["config", "schema"]))
"""


@pytest.mark.parametrize("module", ["gateway.core.errors", "gateway.config", "pydantic"])
def test_ctrl_c_during_the_imports_is_quiet(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
