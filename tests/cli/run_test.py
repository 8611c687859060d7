"""kerf run: any tensor fed, any fetched, against what Keras computed."""
import unittest

import kerf
import npy

RECOMMENDER = kerf.MODELS / "recommender.keras"
CLASSIFIER = kerf.MODELS / "classifier.keras"


class Run(kerf.TestCase):
    def test_whole_models_give_what_keras_gives(self):
        for model, output in ((RECOMMENDER, "dense_final"), (CLASSIFIER, "dense")):
            with self.subTest(model=model.name):
                inputs = self.feed(kerf.sample(model.stem, "request"))
                self.kerf("run", model, *inputs, "--output", "out.npz")
                results = npy.read_npz(self.scratch / "out.npz")
                self.assertEqual(list(results), [output])
                self.assertEqual(results[output].dtype, "<f4")
                self.assert_close(results[output], kerf.sample(model.stem, "keras")[output])

    def test_results_are_called_by_the_addresses_asked_for(self):
        inputs = self.feed(kerf.sample("recommender", "request"))
        self.kerf("run", RECOMMENDER, *inputs, "--fetch", "dense_hidden,flat", "--fetch",
                  "concat:0", "-o", "out.npz")
        results = npy.read_npz(self.scratch / "out.npz")
        self.assertEqual(list(results), ["dense_hidden", "flat", "concat:0"])
        truth = kerf.sample("recommender", "keras")
        self.assert_close(results["dense_hidden"], truth["dense_hidden"])
        self.assert_close(results["flat"], truth["flat"])
        self.assert_close(results["concat:0"], truth["concat"])

    def test_a_tail_runs_from_the_features_of_its_head(self):
        for name, features in (("recommender", "concat"),
                               ("classifier", "global_average_pooling2d")):
            with self.subTest(model=name):
                model = kerf.MODELS / f"{name}.keras"
                whole = self.feed(kerf.sample(name, "request"))
                self.kerf("run", model, *whole, "-o", "whole.npz")
                self.kerf("run", model, *whole, "--fetch", features, "-o", "head.npz")
                tail = self.feed(npy.read_npz(self.scratch / "head.npz"))
                self.kerf("run", model, *tail, "-o", "tail.npz")
                expected = npy.read_npz(self.scratch / "whole.npz")
                got = npy.read_npz(self.scratch / "tail.npz")
                self.assertEqual(list(got), list(expected))
                for key in expected:
                    self.assert_close(got[key], expected[key], 1e-6)

    def test_numbers_of_another_dtype_are_converted(self):
        request = kerf.sample("recommender", "request")
        request["Segment"].dtype = "<i8"
        request["Features"].dtype = "<f8"
        self.kerf("run", RECOMMENDER, *self.feed(request), "-o", "out.npz")
        results = npy.read_npz(self.scratch / "out.npz")
        self.assert_close(results["dense_final"], kerf.sample("recommender", "keras")["dense_final"])

    def test_texts_are_read_and_shown(self):
        header = b"{'descr': '|S12', 'fortran_order': False, 'shape': (2, 1), }\n"
        (self.scratch / "text.npy").write_bytes(
            b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
            + b"A bad film.\0" + b"was it?".ljust(12, b"\0"))
        out, _ = self.kerf("run", kerf.SOURCE / "tests/data/text/words.keras",
                           "--input", "text=text.npy")
        self.assertEqual(out, "ids int64 (2, 4): 1 6 3 0 4 1 0 0\n"
                              'tokens string (2, 4): "[UNK]" "bad" "film" "" "was" "[UNK]" "" ""\n')

    def test_without_output_the_results_are_shown(self):
        out, _ = self.kerf("run", RECOMMENDER, *self.feed(kerf.sample("recommender", "request")))
        self.assertRegex(out, r"\Adense_final float32 \(5, 4\): -?\d+\.\d+ .* \.\.\.\n\Z")

    def test_a_feed_that_nothing_needs_is_told(self):
        inputs = self.feed(kerf.sample("recommender", "request"))
        _, err = self.kerf("run", RECOMMENDER, *inputs, "--fetch", "flat", "-o", "out.npz")
        self.assertRegex(err, r"\Akerf: Features: .*need")

    def test_what_cannot_be_computed_names_what_is_missing(self):
        flat = self.feed({"flat": kerf.sample("recommender", "keras")["flat"]})
        err = self.refused("run", RECOMMENDER, *flat, "-o", "out.npz")
        self.assertIn("Features", err)
        self.assertIn("concat", err)
        self.assertFalse((self.scratch / "out.npz").exists())

    def test_wrong_requests_are_refused(self):
        good = kerf.sample("recommender", "request")
        segment, features = good["Segment"], good["Features"]
        short = npy.Array("<f4", (5, 9), features.values[:45])
        outside = npy.Array("<i4", (5, 1), [0, 1, 2, 3, 50])
        fewer = npy.Array("<i4", (4, 1), segment.values[:4])
        cases = (
            ("an unknown tensor", {"Segmet": segment, "Features": features}, "Segment"),
            ("a wrong shape", {"Segment": segment, "Features": short}, r"\(5, 9\)"),
            ("an id outside the table", {"Segment": outside, "Features": features}, "50"),
            ("batches that differ", {"Segment": fewer, "Features": features}, r"4.*5|5.*4"),
        )
        for what, arrays, expected in cases:
            with self.subTest(what):
                err = self.refused("run", RECOMMENDER, *self.feed(arrays), "-o", "out.npz")
                self.assertRegex(err, expected)
        inputs = self.feed(good)
        err = self.refused("run", RECOMMENDER, *inputs, "--fetch", "dense_hiden", "-o", "out.npz")
        self.assertIn("dense_hidden", err)

    def test_files_that_cannot_be_read_or_written_are_named(self):
        inputs = self.feed(kerf.sample("recommender", "request"))
        self.assertIn("none.npy", self.refused("run", RECOMMENDER, "--input", "concat=none.npy"))
        (self.scratch / "bad.npy").write_bytes(b"not an array")
        self.assertIn("bad.npy", self.refused("run", RECOMMENDER, "--input", "concat=bad.npy"))
        err = self.refused("run", RECOMMENDER, *inputs, "-o", "none/out.npz", code=3)
        self.assertIn("none/out.npz", err)


if __name__ == "__main__":
    unittest.main()
