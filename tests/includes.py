#!/usr/bin/env python3
"""Checks that includes go one way: a folder of src/ may include only itself and earlier ones."""
import pathlib
import re
import sys

ORDER = ["tensor", "graph", "program", "layers", "formats", "engine", "model", "serving",
         "protocol", "server", "config", "cli"]
# What a folder must not know although it stands earlier in the list (see docs/design.md).
FORBIDDEN = {"engine": {"graph", "layers", "formats"},
             "program": {"graph"},
             "serving": {"graph", "program", "layers", "formats", "engine"},
             "protocol": {"graph", "program", "layers", "formats", "engine"},
             "server": {"graph", "program", "layers", "formats", "engine"},
             "config": {"graph", "program", "layers", "formats", "engine", "protocol"},
             "cli": {"layers", "formats", "engine"}}


def main(root: pathlib.Path) -> int:
    wrong = []
    for path in sorted((root / "src").rglob("*")) + sorted((root / "include").rglob("*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        public = path.is_relative_to(root / "include")
        folder = None if public else path.relative_to(root / "src").parts[0]
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#include\s+"([a-z]+)/', line)
            if not match or match[1] not in ORDER:
                continue
            target = match[1]
            allowed = (not public and target in ORDER and folder in ORDER
                       and ORDER.index(target) <= ORDER.index(folder)
                       and target not in FORBIDDEN.get(folder, set()))
            if not allowed:
                wrong.append(f"{path.relative_to(root)}:{number}: {folder or 'include/kerf'} "
                             f"must not include {target}/")
    print("\n".join(wrong) or "includes go one way")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
