"""kerf serve: starting, what it says, stopping. What it answers is tested in tests/server."""
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import unittest
import urllib.request

import kerf

RECOMMENDER = kerf.MODELS / "recommender.keras"


class Serve(kerf.TestCase):
    @contextlib.contextmanager
    def server(self, *arguments):
        """A server on a free port; yields the process and its URL."""
        process = subprocess.Popen([kerf.KERF, "serve", *map(str, arguments), "--port", "0"],
                                   stderr=subprocess.PIPE, text=True, cwd=self.scratch)
        try:
            said = ""
            while (line := process.stderr.readline()):
                said += line
                if (listening := re.search(r"listening on (http://\S+?):? ", line + " ")):
                    yield process, listening[1], said
                    return
            self.fail(f"the server did not start: {said}")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            process.stderr.close()

    def get(self, url):
        with urllib.request.urlopen(url, timeout=30) as reply:
            return json.loads(reply.read())

    def test_a_folder_of_models_is_served_until_a_signal(self):
        for name in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(name), self.server(kerf.MODELS) as (process, url, said):
                self.assertIn("model classifier version 1", said)
                self.assertIn("model recommender version 1", said)
                body = (kerf.SAMPLES / "recommender.request.json").read_bytes()
                request = urllib.request.Request(f"{url}/v2/models/recommender/infer", body)
                outputs = self.get(request)["outputs"]
                self.assertEqual([output["name"] for output in outputs], ["dense_final"])
                truth = kerf.sample("recommender", "keras")["dense_final"]
                self.assertLess(kerf.largest_difference(outputs[0]["data"], truth.values), 1e-5)
                process.send_signal(name)
                self.assertEqual(process.wait(timeout=60), 0)

    def test_a_precision_is_used_and_told(self):
        with self.server(kerf.MODELS, "--precision", "bf16") as (_, url, said):
            self.assertRegex(said, r"model recommender version 1: loaded in [\d.]+ s, in bf16")
            config = self.get(f"{url}/v2/models/recommender/config")
            self.assertEqual(config["parameters"]["precision"], {"string_value": "bf16"})
            self.assertEqual(self.get(f"{url}/v2/models/recommender/graph")["precision"], "bf16")
            body = (kerf.SAMPLES / "recommender.request.json").read_bytes()
            request = urllib.request.Request(f"{url}/v2/models/recommender/infer", body)
            got = self.get(request)["outputs"][0]["data"]
            truth = kerf.sample("recommender", "keras")["dense_final"].values
            self.assertLess(kerf.largest_difference(got, truth), 2e-2)
            self.assertGreater(kerf.largest_difference(got, truth), 1e-5)

    def test_models_may_be_given_names_and_versions(self):
        versions = self.scratch / "ranker"
        for version in ("1", "3"):
            (versions / version).mkdir(parents=True)
            shutil.copy(RECOMMENDER, versions / version / "model.keras")
        classifier = kerf.MODELS / "classifier.keras"
        with self.server("ranker", f"pictures={classifier}") as (_, url, _):
            self.assertEqual(self.get(f"{url}/v2/models/ranker")["versions"], ["3"])
            self.assertEqual(self.get(f"{url}/v2/models/pictures")["name"], "pictures")

    def test_a_model_that_cannot_be_served_keeps_the_server_from_starting(self):
        (self.scratch / "broken.keras").write_bytes(RECOMMENDER.read_bytes()[:5000])
        _, err = self.kerf("serve", RECOMMENDER, "broken.keras", "--port", "0", code=1)
        self.assertRegex(err, r"\nkerf: broken.keras: ")
        _, err = self.kerf("serve", "none.keras", "--port", "0", code=1)
        self.assertIn("kerf: none.keras: there is no such file", err)
        (self.scratch / "empty").mkdir()
        _, err = self.kerf("serve", "empty", "--port", "0", code=1)
        self.assertIn("kerf: empty: there is no model in this folder", err)
        _, err = self.kerf("serve", RECOMMENDER, RECOMMENDER, "--port", "0", code=1)
        self.assertIn("two models are called 'recommender'", err)

    def test_a_port_in_use_and_a_wrong_address_are_told(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            self.assertIn(port, self.refused("serve", RECOMMENDER, "--port", port, code=3))
        err = self.refused("serve", RECOMMENDER, "--address", "nowhere", "--port", "0")
        self.assertIn("nowhere", err)


if __name__ == "__main__":
    unittest.main()
