"""kerf inspect: the table, JSON, DOT, and the program of a cut."""
import json
import re
import unittest

import kerf

RECOMMENDER = kerf.MODELS / "recommender.keras"


class Inspect(kerf.TestCase):
    def test_the_table_has_every_layer_and_the_totals(self):
        out, _ = self.kerf("inspect", RECOMMENDER)
        # Embedding 50 x 8; Dense 18 x 16 + 16; Dense 16 x 4 + 4: as Keras' summary counts them.
        for row in (r"Segment +\(input\) +int32 \(\?, 1\)$", r"Features +\(input\) +\(\?, 10\)$",
                    r"Embedding-Segment +Embedding +\(\?, 1, 8\) +400 +Segment$",
                    r"concat +Concatenate +\(\?, 18\) +0 +flat, Features$",
                    r"dense_hidden +Dense +\(\?, 16\) +304 +concat$",
                    r"dense_final +Dense +\(\?, 4\) +68 +dense_hidden$",
                    r"parameters: 772$", r"outputs: dense_final$"):
            self.assertRegex(out, rf"(?m)^{row}")

    def test_the_cut_points_are_listed_with_what_travels_there(self):
        out, _ = self.kerf("inspect", RECOMMENDER)
        points = out.split("cut point ")[1]
        for address, width in (("concat", 18), ("dense_hidden", 16), ("dense_final", 4)):
            self.assertRegex(points, rf"(?m)^{address} +\(\?, {width}\) +{4 * width} ")
        self.assertNotRegex(points, r"(?m)^(flat|Segment|Features|Embedding-Segment) ")

    def test_json_is_the_whole_graph(self):
        graph = json.loads(self.kerf("inspect", RECOMMENDER, "--json")[0])
        self.assertEqual(graph["parameters"], 772)
        self.assertEqual(graph["inputs"],
                         [{"name": "Segment", "datatype": "INT32", "shape": [-1, 1]},
                          {"name": "Features", "datatype": "FP32", "shape": [-1, 10]}])
        self.assertEqual([layer["name"] for layer in graph["layers"]],
                         ["Embedding-Segment", "flat", "concat", "dense_hidden", "dense_final"])
        addresses = {tensor["address"] for tensor in graph["tensors"]}
        self.assertEqual(addresses, {"Segment", "Features", "Embedding-Segment", "flat", "concat",
                                     "dense_hidden", "dense_final"})

    def test_dot_joins_the_layers(self):
        out, _ = self.kerf("inspect", RECOMMENDER, "--dot")
        self.assertRegex(out, r'\Adigraph "recommender" \{')
        labels = dict(re.findall(r'(?m)^ *(t\d+) \[label="(\w[^"\n\\]*)', out))
        edges = {(labels[a], labels[b]) for a, b in re.findall(r"(t\d+) -> (t\d+)", out)}
        self.assertEqual(edges, {("Segment", "Embedding-Segment"), ("Embedding-Segment", "flat"),
                                 ("flat", "concat"), ("Features", "concat"),
                                 ("concat", "dense_hidden"), ("dense_hidden", "dense_final")})

    def test_the_program_of_a_cut_has_only_what_it_computes(self):
        whole, _ = self.kerf("inspect", RECOMMENDER, "--program")
        tail, _ = self.kerf("inspect", RECOMMENDER, "--program", "--feed", "dense_hidden",
                            "--fetch", "dense_final")
        self.assertIn("Gather", whole)
        self.assertNotIn("Gather", tail)
        self.assertLess(tail.count("\n"), whole.count("\n"))

    def test_a_precision_is_shown(self):
        out, _ = self.kerf("inspect", RECOMMENDER, "--precision", "int8")
        self.assertIn("precision: int8", out)
        out, _ = self.kerf("inspect", RECOMMENDER, "--json")
        self.assertEqual(json.loads(out)["precision"], "float32")

    def test_a_cut_that_cannot_be_computed_is_refused(self):
        err = self.refused("inspect", RECOMMENDER, "--program", "--feed", "flat")
        self.assertIn("Features", err)


if __name__ == "__main__":
    unittest.main()
