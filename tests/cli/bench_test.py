"""kerf bench: it measures what it is asked to and says what it measured; no figure is tested."""
import unittest

import kerf

RECOMMENDER = kerf.MODELS / "recommender.keras"
BRIEF = ("--seconds", "0.05")


class Bench(kerf.TestCase):
    def test_it_says_what_ran_and_how_fast(self):
        out, _ = self.kerf("bench", RECOMMENDER, *BRIEF)
        self.assertRegex(out, r"Segment int32 \(1, 1\), Features float32 \(1, 10\) -> "
                              r"dense_final float32 \(1, 4\)\n")
        self.assertRegex(out, r"(?m)^1 worker, 1 thread a run; \S+ MFLOP a run; compiled in ")
        self.assertRegex(out, r"(?m)^latency +p50 \S+ \S+ +p90 \S+ \S+ +p99 ")
        self.assertRegex(out, r"(?m)^throughput +[\d.]+ runs/s +[\d.]+ samples/s +[\d.]+ GFLOP/s$")

    def test_a_cut_in_batches_with_threads_and_workers(self):
        out, _ = self.kerf("bench", RECOMMENDER, *BRIEF, "--feed", "concat", "--fetch",
                           "dense_hidden", "--batch", "32", "--threads", "2", "--workers", "3")
        self.assertIn("concat float32 (32, 18) -> dense_hidden float32 (32, 16)", out)
        self.assertIn("3 workers, 2 threads a run", out)

    def test_the_profile_names_the_layers(self):
        out, _ = self.kerf("bench", RECOMMENDER, *BRIEF, "--profile")
        profile = out.split("GFLOP/s\n", 1)[1]
        self.assertRegex(profile, r"(?m)^Embedding-Segment +\S.* [\d.]+%")
        self.assertRegex(profile, r"(?m)^dense_final +\S.* [\d.]+%")

    def test_a_cut_that_computes_nothing_has_nothing_to_profile(self):
        out, _ = self.kerf("bench", RECOMMENDER, *BRIEF, "--feed", "concat", "--fetch", "concat",
                           "--profile")
        self.assertRegex(out, r"layer +op +time +share +GFLOP/s\n\Z")

    def test_shapes_may_be_given(self):
        out, _ = self.kerf("bench", RECOMMENDER, *BRIEF, "--feed", "concat", "--shape",
                           "concat=3,18")
        self.assertIn("concat float32 (3, 18)", out)
        for shape, expected in (("concat=3,17", r"\(3, 17\)"), ("concat=3,x", "3,x"),
                                ("concat=3,", "3,"), ("flat=1,8", "flat")):
            with self.subTest(shape):
                err = self.refused("bench", RECOMMENDER, *BRIEF, "--feed", "concat", "--shape",
                                   shape)
                self.assertRegex(err, expected)


if __name__ == "__main__":
    unittest.main()
