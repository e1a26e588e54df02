"""No read or write outside an array and no undefined step: the other tests again, under two sanitizers.

The sources are compiled with AddressSanitizer and UndefinedBehaviorSanitizer, and a Python of its own, which
has the sanitizer's runtime loaded first, runs the tests of all that it does on them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrograd.native import build as module
from retrograd.native.build import BuildError, build, compiler
from tests.native.conftest import TESTED

FLAGS = ("-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ROOT = Path(__file__).parents[2]
SUITE = ("test_decoder.py", "test_precision.py", "test_encoder.py", "test_live_trie.py", "test_nearest.py")

LYING = """
import os
import numpy as np
from retrograd.native import Library, NativeTrie, EncoderShape, EncoderWeights, NativeEncoder
sizes = dict(width=4, heads=1, head_width=4, feed_forward=4)
shape = EncoderShape(**sizes, gated=False, epsilon=1e-6)
weights = EncoderWeights(np.zeros((3, 4), np.float32), np.zeros(4, np.float32), ())
encoder = NativeEncoder(Library(os.environ[{tested!r}]), shape, weights)
encoder.num_tokens = 10**6
encoder.encode(np.full((1, 1), 40, np.int64), np.ones((1, 1), bool), np.zeros((1, 1, 1), np.float32))
"""
"""A token that is not in the table, past the check that would refuse it."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables under which a Python runs on the sanitized library."""
    with pytest.MonkeyPatch.context() as patch:
        # the widest vectors there are, and the plain target that every build has
        patch.delitem(module.TARGETS, "amx")
        patch.delitem(module.TARGETS, "avx2")
        try:
            command = compiler()
            library = build(tmp_path_factory.mktemp("sanitized"), FLAGS)
        except BuildError as error:
            pytest.skip(f"no compiler with the sanitizers: {error}")
    runtime = _runtime(command)
    if runtime is None:
        pytest.skip(f"{command[0]} names no runtime of AddressSanitizer that could be loaded first")
    options = "detect_leaks=0:halt_on_error=1"  # the interpreter itself leaks at its end
    return os.environ | {"LD_PRELOAD": runtime, "ASAN_OPTIONS": options, TESTED: str(library)}


def _runtime(command):
    """The sanitizer's library, and that of C++ behind it, whose exceptions it must know how to pass on."""
    cxx = _library(command, "libstdc++.so.6")
    for name in ("libasan.so", "libclang_rt.asan-x86_64.so", "libclang_rt.asan.so"):
        if (found := _library(command, name)) is not None:
            return found if cxx is None else f"{found} {cxx}"
    return None


def _library(command, name):
    asked = [*command, f"-print-file-name={name}"]
    path = Path(subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip())
    return str(path.resolve()) if path.is_absolute() and path.exists() else None


def run(environment, *arguments):
    """A Python under the sanitizers: its exit code and all it said."""
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_sanitizer_sees_a_read_outside_an_array(environment):
    code, said = run(environment, "-c", LYING.format(tested=TESTED))
    assert code
    assert "AddressSanitizer" in said, said[-2000:]


def test_every_property_holds_without_a_step_outside_an_array_or_an_undefined_one(environment):
    tests = [str(Path(__file__).with_name(name)) for name in SUITE]
    # what the sanitizer says on its way out must not stay in a captured stream
    code, said = run(environment, "-m", "pytest", "-q", "-x", "-s", "-p", "no:xdist", *tests)
    assert code == 0, said[:9000]
    assert "passed" in said
