"""kerf convert: what it writes computes the same, and is a file of Keras 3."""
import json
import unittest
import zipfile

import kerf
import npy

GOLDEN = kerf.SOURCE / "tests" / "data" / "golden"


class Convert(kerf.TestCase):
    def outputs(self, model, arrays):
        self.kerf("run", model, *self.feed(arrays), "-o", "out.npz")
        return list(npy.read_npz(self.scratch / "out.npz").values())

    def test_an_old_file_becomes_one_of_keras_3(self):
        for name in ("mini_mobilenet", "bidirectional", "merge_layers", "sequential_in_sequential"):
            with self.subTest(name):
                old = GOLDEN / f"{name}.h5"
                out, _ = self.kerf("convert", old, "-o", "new.keras")
                self.assertRegex(out, r"\Anew\.keras: .+ -> .+ bytes\)\n\Z")
                with zipfile.ZipFile(self.scratch / "new.keras") as archive:
                    metadata = json.loads(archive.read("metadata.json"))
                    config = json.loads(archive.read("config.json"))
                self.assertRegex(metadata["keras_version"], r"\A3\.")
                self.assertEqual(config["class_name"], "Functional")
                self.assertIn("can be served", self.kerf("check", "new.keras")[0])

    def test_weights_may_stand_apart(self):
        model = kerf.MODELS / "recommender.keras"
        with zipfile.ZipFile(model) as archive:
            (self.scratch / "net.json").write_bytes(archive.read("config.json"))
            (self.scratch / "trained").mkdir()
            (self.scratch / "trained" / "last.h5").write_bytes(archive.read("model.weights.h5"))
        err = self.refused("convert", "net.json", "-o", "new.keras")
        self.assertIn("net.weights.h5", err)
        self.kerf("convert", "net.json", "--weights", "trained/last.h5", "-o", "new.keras")
        request = kerf.sample("recommender", "request")
        whole = self.outputs(model, request)
        again = self.outputs("new.keras", request)
        self.assert_close(again[0], whole[0], 1e-6)

    def test_what_cannot_be_converted_is_refused(self):
        (self.scratch / "model.pkl").write_bytes(b"\x80\x04\x95" + bytes(40))
        self.assertIn("pickle", self.refused("convert", "model.pkl", "-o", "new.keras"))
        self.refused("convert", "missing.h5", "-o", "new.keras")
        self.refused("convert", GOLDEN / "lstm.h5", code=2)
        self.assertFalse((self.scratch / "new.keras").exists())


if __name__ == "__main__":
    unittest.main()
