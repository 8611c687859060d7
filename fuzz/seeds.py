#!/usr/bin/env python3
"""Fills the corpora of the fuzz targets with small files: seeds.py DATA CORPUS."""
import pathlib
import shutil
import sys
import zipfile

MAX_SIZE = 65536


def main(data: pathlib.Path, corpus: pathlib.Path) -> None:
    for path in sorted(data.rglob("*")):
        if not path.is_file() or path.stat().st_size > MAX_SIZE:
            continue
        if path.suffix == ".npy":
            shutil.copy(path, corpus / "npy" / path.name)
        elif path.suffix == ".h5":
            shutil.copy(path, corpus / "hdf5" / path.name)
        elif path.suffix == ".keras" and zipfile.is_zipfile(path):
            shutil.copy(path, corpus / "archive" / path.name)
            with zipfile.ZipFile(path) as members:
                if "config.json" in members.namelist():
                    (corpus / "config" / path.stem).write_bytes(members.read("config.json"))
                if "model.weights.h5" in members.namelist():
                    weights = members.read("model.weights.h5")
                    if len(weights) <= MAX_SIZE:
                        (corpus / "hdf5" / path.stem).write_bytes(weights)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
