"""The command line itself: help, versions, exit codes, errors."""
import os
import pty
import re
import subprocess
import unittest

import kerf

COMMANDS = ("serve", "inspect", "run", "cut", "bench", "check")


class Usage(kerf.TestCase):
    def test_help_lists_every_command_and_the_exit_codes(self):
        out, err = self.kerf("--help")
        self.assertEqual(err, "")
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^ +{command} ")
        for code in range(5):
            self.assertRegex(out, rf"(?m)^  {code}  ")

    def test_every_command_explains_itself_with_examples(self):
        for command in COMMANDS:
            with self.subTest(command):
                out, err = self.kerf(command, "--help")
                self.assertEqual(err, "")
                self.assertRegex(out, rf"Examples:\n  kerf {command} ")
                for line in out.splitlines():
                    self.assertLessEqual(len(line), 110, line)

    def test_every_option_is_explained(self):
        for command in COMMANDS:
            out, _ = self.kerf(command, "--help")
            options = out.split("Options:")[1].split("Examples:")[0]
            for line in re.findall(r"(?m)^  -.*(?:\n {10,}.*)?", options):
                self.assertRegex(line, r"\s{2,}\S+|\n\s+\S+", f"{command}: {line}")

    def test_version(self):
        header = (kerf.SOURCE / "include" / "kerf" / "version.h").read_text()
        version = re.search(r'"(\d+\.\d+\.\d+)"', header)[1]
        self.assertEqual(self.kerf("--version"), (f"kerf {version}\n", ""))

    def test_lines_that_cannot_be_understood_exit_with_2_and_point_to_help(self):
        model = kerf.MODELS / "recommender.keras"
        cases = (
            ((), "kerf --help"),
            (("inspct",), "kerf --help"),
            (("serve",), "kerf serve --help"),
            (("serve", model, "--port", "65536"), "kerf serve --help"),
            (("inspect",), "kerf inspect --help"),
            (("inspect", model, "--jsn"), "kerf inspect --help"),
            (("inspect", model, "--json", "--dot"), "kerf inspect --help"),
            (("inspect", model, "--feed", "concat"), "kerf inspect --help"),
            (("run", model), "kerf run --help"),
            (("run", model, "--input", "Segment"), "kerf run --help"),
            (("run", model, "--input", "=x.npy"), "kerf run --help"),
            (("cut", model, "--feed", "concat"), "kerf cut --help"),
            (("bench", model, "--batch", "0"), "kerf bench --help"),
            (("bench", model, "--seconds", "soon"), "kerf bench --help"),
            (("check",), "kerf check --help"),
        )
        for arguments, pointer in cases:
            with self.subTest(arguments):
                err = self.refused(*arguments, code=2)
                self.assertRegex(err, rf"(?m)^kerf: see `{pointer}`$")

    def test_a_missing_model_is_named_by_every_command(self):
        more = {"run": ("--input", f"a={os.devnull}"), "cut": ("-o", "out.keras")}
        for command in ("inspect", "cut", "bench"):
            with self.subTest(command):
                err = self.refused(command, "missing.keras", *more.get(command, ()))
                self.assertRegex(err, r"missing\.keras: ")

    def test_no_escape_codes_reach_a_pipe_and_a_short_load_shows_no_bar(self):
        model = str(kerf.MODELS / "recommender.keras")
        _, err = self.kerf("inspect", model)
        self.assertEqual(err, "")
        screen, line = pty.openpty()
        try:
            subprocess.run([kerf.KERF, "inspect", model], stdout=subprocess.DEVNULL, stderr=line,
                           check=True, timeout=60)
            os.set_blocking(screen, False)
            with self.assertRaises(BlockingIOError):  # nothing was written
                os.read(screen, 1)
        finally:
            os.close(screen)
            os.close(line)


if __name__ == "__main__":
    unittest.main()
