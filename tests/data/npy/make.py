#!/usr/bin/env python3
"""Writes the files of this folder, which tests/tensor/npy_test.cpp reads. Needs NumPy."""
import pathlib

import numpy as np
from numpy.lib import format as npy

HERE = pathlib.Path(__file__).parent
COUNTING = np.arange(24).reshape(2, 3, 4)


def put(name, array, version=None):
    with open(HERE / f"{name}.npy", "wb") as file:
        npy.write_array(file, array, version=version)


for dtype in ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]:
    array = COUNTING + 3 if dtype[0] == "u" else COUNTING - 5
    put("le_" + dtype, array.astype("<" + dtype))
    if dtype[1] != "1":
        put("be_" + dtype, array.astype(">" + dtype))
put("bool", COUNTING % 3 == 0)
put("fortran_f4", np.asfortranarray(COUNTING.astype("<f4")))
put("fortran_be_i2", np.asfortranarray(COUNTING.astype(">i2")))
put("version2_f4", COUNTING.astype("<f4"), (2, 0))
put("version3_f4", COUNTING.astype("<f4"), (3, 0))
put("scalar_f8", np.array(2.5))
put("vector_f4", np.array([1, 2, 3], "f4"))
put("empty_f4", np.zeros((0, 5), "f4"))
put("bytes", np.array([[b"a", b"bcd"], [b"", b"xy"]]))
put("text", np.array(["kerf", "été", "日本", "😀", ""]))
put("text_be", np.array(["kerf", "é"], dtype=">U4"))
put("object", np.array([{"a": 1}], dtype=object))
put("complex", np.array([1 + 2j]))
put("records", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]))
put("date", np.array(["2026-01-01"], dtype="M8[D]"))
np.savez(HERE / "stored.npz", a=COUNTING.astype("f4"), b=np.array([1, 2], "i8"))
np.savez_compressed(HERE / "packed.npz", zeros=np.zeros(1000, "f4"), ids=np.array([[7]], "i4"))
