"""--alias and --plugin: layers that are not Keras' own, by every command that loads models."""
import json
import os
import pathlib
import unittest
import zipfile

import kerf
import npy

CLASSIFIER = kerf.MODELS / "classifier.keras"
PLUGIN = pathlib.Path(os.environ["KERF_BUILD"]) / "tests" / "plugins" / "example_layers.so"


class Extensions(kerf.TestCase):
    def setUp(self):
        super().setUp()
        # The classifier with its functions under names of their own, as an author's code has them.
        self.model = self.scratch / "custom.keras"
        with zipfile.ZipFile(CLASSIFIER) as source, zipfile.ZipFile(self.model, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "config.json":
                    content = content.replace(b'"activation": "relu"', b'"activation": "my>rectify"')
                    self.assertIn(b"my>rectify", content)
                    self.names = [layer["class_name"] for layer in
                                  json.loads(content)["config"]["layers"]]
                target.writestr(name, content)

    def test_a_function_of_the_author_is_what_the_alias_says(self):
        self.assertIn("alias", self.kerf("check", self.model, code=1)[0])
        inputs = self.feed(kerf.sample("classifier", "request"))
        self.kerf("run", self.model, "--alias", "my>rectify=maximum(x, 0)", *inputs, "-o", "y.npz")
        self.assert_close(npy.read_npz(self.scratch / "y.npz")["dense"],
                          kerf.sample("classifier", "keras")["dense"])
        self.kerf("check", self.model, "--alias", "rectify = relu(x)")
        self.kerf("inspect", self.model, "--alias", "rectify = relu(x)")
        self.kerf("cut", self.model, "--alias", "rectify = relu(x)", "-o", "cut.keras")

    def test_what_makes_no_sense_is_refused(self):
        self.assertIn("no '='", self.refused("check", self.model, "--alias", "my>rectify"))
        self.assertIn("it ends here", self.refused("check", self.model, "--alias", "a=x *"))
        self.assertIn("no such plug-in", self.refused("check", self.model, "--plugin", "none.so"))
        self.assertIn("shared library", self.refused("check", self.model, "--plugin", self.model))

    def test_plugins_are_loaded(self):
        self.kerf("check", CLASSIFIER, "--plugin", PLUGIN)


if __name__ == "__main__":
    unittest.main()
