"""The installed library, used by a project of its own: examples/embed."""
import os
import subprocess
import unittest

import kerf


class Embed(kerf.TestCase):
    def cmake(self, *arguments):
        done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True,
                              cwd=self.scratch, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_project_finds_the_library_builds_with_it_and_predicts(self):
        prefix = self.scratch / "prefix"
        self.cmake("--install", os.environ["KERF_BUILD"], "--prefix", prefix)
        self.cmake("-S", kerf.SOURCE / "examples" / "embed", "-B", "build", "-G", "Ninja",
                   f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        self.cmake("--build", "build")
        done = subprocess.run([self.scratch / "build" / "embed", kerf.MODELS / "recommender.keras"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = [list(map(float, line.split())) for line in done.stdout.splitlines()]
        self.assertEqual(len(rows), 4)
        for whole, halves in rows:
            self.assertAlmostEqual(whole, halves, delta=1e-6 * max(1, abs(whole)))

        version = subprocess.run([prefix / "bin" / "kerf", "--version"], capture_output=True,
                                 text=True, timeout=60)
        self.assertRegex(version.stdout, r"\Akerf \d+\.\d+\.\d+\n\Z")
        self.assertEqual(sorted(p.name for p in (prefix / "include").rglob("*.h")),
                         sorted(p.name for p in (kerf.SOURCE / "include").rglob("*.h")))


if __name__ == "__main__":
    unittest.main()
