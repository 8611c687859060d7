"""What tests written in Python share: the built command, the demo's models, comparing numbers.
CTest sets KERF (the built command) and KERF_SOURCE (the source folder)."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import npy

KERF = os.environ["KERF"]
SOURCE = pathlib.Path(os.environ["KERF_SOURCE"])
MODELS = SOURCE / "examples" / "models"
SAMPLES = SOURCE / "examples" / "samples"
DTYPES = {"INT32": "<i4", "FP32": "<f4"}


def sample(name, kind):
    """The tensors of samples/NAME.KIND.json, by name, as arrays: kind is "request" or "keras"."""
    message = json.loads((SAMPLES / f"{name}.{kind}.json").read_text())
    return {t["name"]: npy.Array(DTYPES[t["datatype"]], t["shape"], t["data"])
            for t in message.get("inputs", []) + message.get("outputs", [])}


def largest_difference(got, expected):
    """The largest difference, relative to the largest magnitude of `expected`."""
    assert len(got) == len(expected), (len(got), len(expected))
    scale = max(max(map(abs, expected)), 1e-30)
    return max(abs(a - b) for a, b in zip(got, expected)) / scale


class TestCase(unittest.TestCase):
    """A test with a scratch folder of its own."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def kerf(self, *arguments, code=0):
        """Runs kerf and returns its stdout and stderr; fails unless it exits with `code`."""
        done = subprocess.run([KERF, *map(str, arguments)], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, cwd=self.scratch, timeout=120)
        self.assertEqual(done.returncode, code,
                         f"kerf {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}")
        return done.stdout, done.stderr

    def refused(self, *arguments, code=1):
        """Runs kerf, which must exit with `code` and say why; returns what it says."""
        out, err = self.kerf(*arguments, code=code)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Akerf: .+")
        self.assertNotRegex(err, r"terminate|std::|defect")
        return err

    def feed(self, arrays):
        """Writes arrays to .npy files; returns the --input arguments that feed them."""
        arguments = []
        for name, array in arrays.items():
            file = self.scratch / (re.sub(r"\W", "_", name) + ".npy")
            npy.write(file, array)
            arguments += ["--input", f"{name}={file}"]
        return arguments

    def assert_close(self, got, expected, tolerance=1e-5):
        self.assertEqual(got.shape, expected.shape)
        self.assertLessEqual(largest_difference(got.values, expected.values), tolerance)
