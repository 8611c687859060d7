"""kerf cut: what it writes, kerf reads again, and computes the same with."""
import unittest
import zipfile

import kerf
import npy

RECOMMENDER = kerf.MODELS / "recommender.keras"


class Cut(kerf.TestCase):
    def run_model(self, model, arrays):
        self.kerf("run", model, *self.feed(arrays), "-o", "out.npz")
        return npy.read_npz(self.scratch / "out.npz")

    def test_head_and_tail_together_are_the_whole(self):
        for name, at in (("recommender", "concat"), ("classifier", "max_pooling2d"),
                         ("classifier", "batch_normalization")):
            with self.subTest(model=name, at=at):
                model = kerf.MODELS / f"{name}.keras"
                out, _ = self.kerf("cut", model, "--fetch", at, "-o", "head.keras")
                self.assertRegex(out, rf"\Ahead\.keras: .+ -> {at} float32 .*bytes\)\n\Z")
                self.kerf("cut", model, "--feed", at, "-o", "tail.keras")
                request = kerf.sample(name, "request")
                features = self.run_model("head.keras", request)
                self.assertEqual(len(features), 1)
                halves = self.run_model("tail.keras", {at: next(iter(features.values()))})
                whole = self.run_model(model, request)
                self.assertEqual(len(halves), 1)
                self.assert_close(next(iter(halves.values())), next(iter(whole.values())), 1e-6)

    def test_a_middle_part_can_be_served_and_has_no_more_than_it_needs(self):
        self.kerf("cut", RECOMMENDER, "--feed", "concat", "--fetch", "dense_hidden", "-o",
                  "middle.keras")
        out, _ = self.kerf("inspect", "middle.keras")
        self.assertRegex(out, r"(?m)^parameters: 304$")
        self.assertIn("can be served", self.kerf("check", "middle.keras")[0])
        with zipfile.ZipFile(self.scratch / "middle.keras") as archive:
            self.assertIsNone(archive.testzip())
            self.assertLessEqual({"config.json", "metadata.json", "model.weights.h5"},
                                 set(archive.namelist()))

    def test_what_cannot_be_cut_is_refused_and_nothing_is_written(self):
        for arguments, expected in ((("--feed", "flat"), "Features"),
                                    (("--fetch", "dense_fnal"), "dense_final"),
                                    (("--feed", "concat,Segment"), "Segment")):
            with self.subTest(arguments):
                err = self.refused("cut", RECOMMENDER, *arguments, "-o", "part.keras")
                self.assertIn(expected, err)
                self.assertFalse((self.scratch / "part.keras").exists())

    def test_a_file_that_cannot_be_written_is_named(self):
        err = self.refused("cut", RECOMMENDER, "--feed", "concat", "-o", "none/part.keras", code=3)
        self.assertIn("none/part.keras", err)


if __name__ == "__main__":
    unittest.main()
