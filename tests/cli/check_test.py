"""kerf check: a verdict on each file, with every reason."""
import json
import unittest
import zipfile

import kerf
import npy

RECOMMENDER = kerf.MODELS / "recommender.keras"


class Check(kerf.TestCase):
    def changed(self, name, change):
        """A copy of the recommender whose config went through `change`."""
        file = self.scratch / name
        with zipfile.ZipFile(RECOMMENDER) as good, zipfile.ZipFile(file, "w") as bad:
            for member in good.namelist():
                data = good.read(member)
                if member == "config.json":
                    config = json.loads(data)
                    change(config)
                    data = json.dumps(config)
                bad.writestr(member, data)
        return file

    def test_good_models_can_be_served(self):
        out, _ = self.kerf("check", RECOMMENDER, kerf.MODELS / "classifier.keras")
        self.assertEqual(out.count("can be served"), 2)
        self.assertIn("Segment int32 (?, 1), Features float32 (?, 10) -> dense_final float32", out)

    def test_unknown_layers_are_all_named(self):
        def change(config):
            for layer in config["config"]["layers"]:
                if layer["config"]["name"] in ("flat", "dense_hidden"):
                    layer["class_name"] = "Mystery" + layer["class_name"]

        out, _ = self.kerf("check", self.changed("strange.keras", change), code=1)
        self.assertIn("strange.keras: cannot be served", out)
        for word in ("MysteryFlatten", "flat", "MysteryDense", "dense_hidden"):
            self.assertIn(word, out)

    def test_files_that_are_no_models(self):
        (self.scratch / "text.keras").write_text("hello")
        (self.scratch / "half.keras").write_bytes(RECOMMENDER.read_bytes()[:9000])
        (self.scratch / "empty.h5").touch()
        out, _ = self.kerf("check", "text.keras", "half.keras", "empty.h5", "none.keras",
                           RECOMMENDER, code=1)
        for name in ("text.keras", "half.keras", "empty.h5", "none.keras"):
            self.assertRegex(out, rf"(?m)^{name}: cannot be served, for 1 reason:\n  \S.+$")
        self.assertIn("recommender.keras: can be served", out)

    def test_the_error_of_a_precision_is_told(self):
        for precision in ("bf16", "int8"):
            out, _ = self.kerf("check", RECOMMENDER, "--precision", precision)
            self.assertIn(f"in {precision}, not float32, on made-up samples", out)
            self.assertRegex(out, r"(?m)^  dense_final +[\d.e-]+ +[\d.]+% +[\d.]+% +-$")
        out, _ = self.kerf("check", kerf.MODELS / "classifier.keras", "--precision", "bf16",
                           "--batch", 5)
        self.assertRegex(out, r"[0-5] of 5")
        out, _ = self.kerf("check", RECOMMENDER)
        self.assertNotIn("made-up", out)

    def test_the_error_may_be_limited(self):
        self.kerf("check", RECOMMENDER, "--precision", "bf16", "--tolerance", 0.1)
        out, _ = self.kerf("check", RECOMMENDER, "--precision", "int8", "--tolerance", 0, code=1)
        self.assertIn("the error is larger than 0 of the largest value", out)

    def test_the_error_on_samples_of_ones_own(self):
        inputs = kerf.sample("recommender", "request")
        with zipfile.ZipFile(self.scratch / "in.npz", "w") as archive:
            for name, array in inputs.items():
                npy.write(self.scratch / "one.npy", array)
                archive.write(self.scratch / "one.npy", f"{name}.npy")
        out, _ = self.kerf("check", RECOMMENDER, "--precision", "int8", "--inputs", "in.npz")
        self.assertIn("on your samples", out)
        with zipfile.ZipFile(self.scratch / "other.npz", "w") as archive:
            archive.write(self.scratch / "one.npy", "x.npy")
        err = self.kerf("check", RECOMMENDER, "--precision", "int8", "--inputs", "other.npz",
                        code=1)[1]
        self.assertIn("no array of the name of the input 'Segment', but x", err)

    def test_precisions_that_do_not_exist_are_refused(self):
        self.refused("check", RECOMMENDER, "--precision", "fp16", code=2)
        self.refused("check", RECOMMENDER, "--tolerance", "0.1", code=2)


if __name__ == "__main__":
    unittest.main()
