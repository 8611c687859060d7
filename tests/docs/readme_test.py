"""The README is true: what its commands print, and the code it shows.

    readme_test.py            compares
    readme_test.py --write    puts what the commands print, and the code, into the README

A ```console block is run line by line: "$ COMMAND" and below it what that prints. Numbers may
differ in their last digits, as they do between machines. Servers get a free port for the 8000
of the README. A ```cmake or ```cpp block is a file of examples/embed; a ```c++ block is a layer
of the library, named above it.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

import kerf

README = kerf.SOURCE / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LAYER = re.compile(r"(^`(src/\S+)`:\n\n```c\+\+\n)(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
MIRRORED = {"cmake": "examples/embed/CMakeLists.txt", "cpp": "examples/embed/embed.cpp"}


class Shell:
    """Runs README commands in a scratch folder that looks like the repository to them."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.servers = []
        self.port = 8000  # until a server has one
        (scratch / "examples").symlink_to(kerf.SOURCE / "examples")
        commands = scratch / "commands"
        commands.mkdir()
        (commands / "kerf").symlink_to(kerf.KERF)
        self.environment = os.environ | {"PATH": f"{commands}:{os.environ['PATH']}"}

    def run(self, command):
        command = command.replace("localhost:8000", f"localhost:{self.port}")
        if command.endswith("&"):
            self.start(command.removesuffix("&").strip())
            return ""
        done = subprocess.run(["bash", "-c", command], cwd=self.scratch, env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120)
        return done.stdout.replace(f":{self.port}", ":8000")

    def start(self, command):
        # The server takes its ports itself: one found free here might be taken by then.
        log = self.scratch / f"server{len(self.servers)}.log"
        with open(log, "w") as said:
            self.servers.append(subprocess.Popen(
                ["bash", "-c", f"exec {command} --port 0"], cwd=self.scratch,
                env=self.environment, stdout=subprocess.DEVNULL, stderr=said))
        for _ in range(600):
            if (found := re.search(r"listening on http://\S+?:(\d+)", log.read_text())):
                self.port = found[1]
                return
            if self.servers[-1].poll() is not None:
                raise AssertionError(f"{command} ended at once: {log.read_text()}")
            time.sleep(0.05)
        raise AssertionError(f"{command} is not ready after 30 seconds: {log.read_text()}")

    def stop(self):
        for server in self.servers:
            server.terminate()
            server.wait(timeout=60)


def unfinished(command):
    return command.endswith("\\") or command.count("'") % 2 == 1


def steps(block):
    """The commands of a console block, each with what it should print."""
    found = []
    for line in block.splitlines():
        if found and unfinished(found[-1][0]):
            found[-1][0] += "\n" + line
        elif line.startswith("$ "):
            found.append([line[2:], ""])
        else:
            found[-1][1] += line + "\n"
    return found


def same(got, expected):
    """Equal but for white space at line ends and the last digits of numbers."""
    def text(of):
        return "\n".join(line.rstrip() for line in NUMBER.sub("#", of).strip().splitlines())

    if text(got) != text(expected):
        return False
    pairs = zip(NUMBER.findall(got), NUMBER.findall(expected))
    return all(abs(float(a) - float(b)) <= 1e-4 * max(abs(float(b)), 0.1) for a, b in pairs)


def layer_source(file):
    """What a file of src/layers/keras says inside its namespaces."""
    text = (kerf.SOURCE / file).read_text()
    start = text.index("namespace {\n") + len("namespace {\n\n")
    return text[start:text.rindex("\n}  // namespace kerf::layers")]


def write(scratch):
    shell = Shell(scratch)

    def replaced(match):
        if match[1] in MIRRORED:
            return f"```{match[1]}\n{(kerf.SOURCE / MIRRORED[match[1]]).read_text()}```"
        if match[1] != "console":
            return match[0]
        text = ""
        for command, _ in steps(match[2]):
            text += f"$ {command}\n{shell.run(command).strip()}".rstrip() + "\n"
        return f"```console\n{text}```"

    try:
        text = BLOCK.sub(replaced, README.read_text())
        README.write_text(LAYER.sub(lambda m: m[1] + layer_source(m[2]) + "```", text))
    finally:
        shell.stop()


class Readme(kerf.TestCase):
    def test_commands_print_what_it_says(self):
        shell = Shell(self.scratch)
        self.addCleanup(shell.stop)
        blocks = [text for kind, text in BLOCK.findall(README.read_text()) if kind == "console"]
        self.assertGreater(len(blocks), 2)
        for block in blocks:
            for command, expected in steps(block):
                with self.subTest(command):
                    got = shell.run(command)
                    self.assertTrue(same(got, expected),
                                    f"$ {command}\nprints\n{got}\nbut the README says\n{expected}")

    def test_code_is_that_of_the_example_that_is_built(self):
        for kind, text in BLOCK.findall(README.read_text()):
            if kind in MIRRORED:
                self.assertEqual(text, (kerf.SOURCE / MIRRORED[kind]).read_text(), MIRRORED[kind])

    def test_code_of_the_library_is_quoted_as_it_is(self):
        quoted = LAYER.findall(README.read_text())
        self.assertEqual(len(quoted), 1)
        for _, file, text in quoted:
            self.assertEqual(text, layer_source(file), file)

    def test_files_it_links_to_exist(self):
        for page in (README, *(kerf.SOURCE / "docs").glob("*.md")):
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


if __name__ == "__main__":
    if "--write" in sys.argv:
        folder = pathlib.Path("/tmp") / f"kerf-readme-{os.getpid()}"
        folder.mkdir()
        write(folder)
        shutil.rmtree(folder)
    else:
        unittest.main()
