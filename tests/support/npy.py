"""Reads and writes .npy and .npz with the standard library alone, from NumPy's description of the
format (numpy.lib.format): an independent truth for kerf's own reader and writer."""
import ast
import pathlib
import struct
import zipfile

CODES = {"|b1": "?", "|u1": "B", "|i1": "b", "<i4": "i", "<i8": "q", "<f4": "f", "<f8": "d"}


class Array:
    """A dense row-major array: its dtype as NumPy writes it, its shape, its elements as a list."""

    def __init__(self, dtype, shape, values):
        self.dtype, self.shape, self.values = dtype, tuple(shape), list(values)

    def to_bytes(self):
        header = repr({"descr": self.dtype, "fortran_order": False, "shape": self.shape})
        header += " " * (63 - (10 + len(header)) % 64) + "\n"
        return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                + struct.pack(f"<{len(self.values)}{CODES[self.dtype]}", *self.values))

    @staticmethod
    def from_bytes(data):
        assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
        size = struct.unpack("<H", data[8:10])[0]
        header = ast.literal_eval(data[10:10 + size].decode())
        assert not header["fortran_order"]
        code = CODES[header["descr"]]
        body = data[10 + size:]
        count = len(body) // struct.calcsize(code)
        array = Array(header["descr"], header["shape"], struct.unpack(f"<{count}{code}", body))
        expected = 1
        for dimension in array.shape:
            expected *= dimension
        assert expected == count, (array.shape, count)
        return array


def write(file, array):
    pathlib.Path(file).write_bytes(array.to_bytes())


def read_npz(file):
    with zipfile.ZipFile(file) as archive:
        return {name.removesuffix(".npy"): Array.from_bytes(archive.read(name))
                for name in archive.namelist()}
