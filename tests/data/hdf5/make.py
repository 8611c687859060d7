"""Makes the HDF5 files beside it with h5py (Debian's python3-h5py): forms that kerf's own writer
never uses. Seeds of the fuzzer, and the truth for filters that the HDF5 library does not have."""
import h5py
import numpy


def main():
    with h5py.File("latest.h5", "w", libver="latest") as file:
        group = file.create_group("layers", track_order=True)
        for i in range(12):  # beyond eight in a heap
            group.create_group(f"dense_{i}/vars").attrs["name"] = f"dense_{i}"
        for i in range(10):
            file.attrs[f"n{i}"] = "x" * i
        file.attrs["layer_names"] = numpy.array([b"a", b"bc"])
        vars_ = file["layers/dense_0/vars"]
        ramp = numpy.arange(60, dtype="float32").reshape(6, 10)
        vars_.create_dataset("lzf", data=ramp, chunks=(4, 4), compression="lzf", shuffle=True)
        vars_.create_dataset("gzip", data=ramp, chunks=(6, 10), compression="gzip", fletcher32=True)
        vars_.create_dataset("fixed", data=ramp, chunks=(2, 5))
        vars_.create_dataset("extensible", data=ramp, chunks=(1, 3), maxshape=(None, 10))
        vars_.create_dataset("tree", data=ramp, chunks=(2, 3), maxshape=(None, None))
        vars_.create_dataset("plain", data=ramp)


if __name__ == "__main__":
    main()
