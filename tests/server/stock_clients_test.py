"""kerf serve as stock clients see it. tritonclient.http and KServe's REST client cannot be installed
here; what follows builds requests and reads replies byte for byte as their sources do."""
import contextlib
import gzip
import http.client
import json
import re
import struct
import subprocess
import unittest
import zlib
from urllib.parse import quote, urlsplit

import kerf

PACKED = {"INT32": "i", "INT64": "q", "FP32": "f", "FP64": "d", "BOOL": "?"}


class InferenceServerException(Exception):
    pass


class TritonInput:
    """tritonclient.http.InferInput: binary unless told otherwise."""

    def __init__(self, name, shape, datatype, values, binary_data=True):
        self.tensor = {"name": name, "shape": list(shape), "datatype": datatype}
        self.raw = None
        if binary_data:
            self.raw = struct.pack(f"<{len(values)}{PACKED[datatype]}", *values)
            self.tensor["parameters"] = {"binary_data_size": len(self.raw)}
        else:
            self.tensor["data"] = list(values)


def triton_output(name, binary_data=True):
    """tritonclient.http.InferRequestedOutput."""
    return {"name": name, "parameters": {"binary_data": binary_data}}


class TritonResult:
    """tritonclient.http.InferResult."""

    def __init__(self, headers, body):
        encoding = headers.get("Content-Encoding")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "deflate":
            body = zlib.decompress(body)
        length = headers.get("Inference-Header-Content-Length")
        self.buffer = b""
        if length is not None:
            body, self.buffer = body[:int(length)], body[int(length):]
        self.reply = json.loads(body)
        self.offsets = {}
        offset = 0
        for output in self.reply["outputs"]:
            size = output.get("parameters", {}).get("binary_data_size")
            if size is not None:
                self.offsets[output["name"]] = offset
                offset += size

    def values(self, name):
        output = next(o for o in self.reply["outputs"] if o["name"] == name)
        if name not in self.offsets:
            return output["data"]
        start = self.offsets[name]
        raw = self.buffer[start:start + output["parameters"]["binary_data_size"]]
        code = PACKED[output["datatype"]]
        return list(struct.unpack(f"<{len(raw) // struct.calcsize(code)}{code}", raw))


class TritonClient:
    """tritonclient.http.InferenceServerClient over one keep-alive connection."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def _ask(self, method, path, body=None, headers=None):
        self.connection.request(method, "/" + path, body=body, headers=headers or {})
        response = self.connection.getresponse()
        content = response.read()
        return response, content

    @staticmethod
    def _raise_if_error(response, content):
        if response.status != 200:
            raise InferenceServerException(response.status, json.loads(content)["error"])

    def _get(self, path):
        response, content = self._ask("GET", path)
        self._raise_if_error(response, content)
        return json.loads(content)

    def is_server_live(self):
        return self._ask("GET", "v2/health/live")[0].status == 200

    def is_server_ready(self):
        return self._ask("GET", "v2/health/ready")[0].status == 200

    def is_model_ready(self, name, version=""):
        part = f"/versions/{version}" if version else ""
        return self._ask("GET", f"v2/models/{quote(name)}{part}/ready")[0].status == 200

    def get_server_metadata(self):
        return self._get("v2")

    def get_model_metadata(self, name):
        return self._get(f"v2/models/{quote(name)}")

    def get_model_repository_index(self):
        response, content = self._ask("POST", "v2/repository/index", body="")
        self._raise_if_error(response, content)
        return json.loads(content)

    def infer(self, name, inputs, version="", outputs=None, request_id="", compress=None,
              accept=None):
        request = {}
        if request_id:
            request["id"] = request_id
        request["inputs"] = [i.tensor for i in inputs]
        if outputs:
            request["outputs"] = outputs
        else:
            request["parameters"] = {"binary_data_output": True}
        body = json.dumps(request).encode()
        headers = {}
        raw = [i.raw for i in inputs if i.raw is not None]
        if raw:
            headers["Inference-Header-Content-Length"] = str(len(body))
            body += b"".join(raw)
        if compress == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        elif compress == "deflate":
            headers["Content-Encoding"] = "deflate"
            body = zlib.compress(body)
        if accept:
            headers["Accept-Encoding"] = accept
        part = f"/versions/{version}" if version else ""
        response, content = self._ask("POST", f"v2/models/{quote(name)}{part}/infer", body, headers)
        self._raise_if_error(response, content)
        return TritonResult(response.headers, content)


class StockClients(kerf.TestCase):
    @classmethod
    def setUpClass(cls):
        process = subprocess.Popen(
            [kerf.KERF, "serve", str(kerf.MODELS), "a name with @=" + str(
                kerf.MODELS / "recommender.keras"), "--port", "0"],
            stderr=subprocess.PIPE, text=True)
        cls.addClassCleanup(process.stderr.close)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.terminate)
        said = ""
        while (line := process.stderr.readline()):
            said += line
            if (listening := re.search(r"listening on (http://\S+?):? ", line + " ")):
                cls.url = listening[1]
                break
        else:
            raise AssertionError(f"the server did not start: {said}")
        cls.request = kerf.sample("recommender", "request")
        cls.truth = kerf.sample("recommender", "keras")

    def client(self):
        client = TritonClient(self.url)
        self.addCleanup(client.connection.close)
        return client

    def inputs(self, binary_data=True):
        return [TritonInput(name, array.shape, {"<i4": "INT32", "<f4": "FP32"}[array.dtype],
                            array.values, binary_data)
                for name, array in self.request.items()]

    def assert_keras(self, got, name):
        self.assertLess(kerf.largest_difference(got, self.truth[name].values), 1e-5)

    def test_health_and_metadata(self):
        client = self.client()
        self.assertTrue(client.is_server_live())
        self.assertTrue(client.is_server_ready())
        self.assertTrue(client.is_model_ready("recommender"))
        self.assertTrue(client.is_model_ready("recommender", "1"))
        self.assertFalse(client.is_model_ready("recommender", "2"))
        self.assertFalse(client.is_model_ready("nothing"))
        self.assertTrue(client.is_model_ready("a name with @"))
        metadata = client.get_server_metadata()
        self.assertEqual(set(metadata), {"name", "version", "extensions"})
        self.assertIn("binary_tensor_data", metadata["extensions"])
        metadata = client.get_model_metadata("recommender")
        self.assertEqual(metadata["name"], "recommender")
        self.assertEqual([tensor["shape"][0] for tensor in metadata["inputs"]], [-1, -1])
        index = client.get_model_repository_index()
        self.assertIn({"name": "classifier", "version": "1", "state": "READY"}, index)

    def test_binary_by_default(self):
        result = self.client().infer("recommender", self.inputs(), request_id="my-id")
        self.assertEqual(result.reply["id"], "my-id")
        self.assertEqual(list(result.offsets), ["dense_final"])
        self.assert_keras(result.values("dense_final"), "dense_final")

    def test_json_where_asked_for(self):
        client = self.client()
        result = client.infer("recommender", self.inputs(binary_data=False),
                              outputs=[triton_output("dense_final", binary_data=False)])
        self.assertEqual(result.offsets, {})
        self.assert_keras(result.values("dense_final"), "dense_final")

    def test_compressed_both_ways(self):
        client = self.client()
        for algorithm in ("gzip", "deflate"):
            result = client.infer("recommender", self.inputs(), compress=algorithm,
                                  accept=algorithm, version="1")
            self.assert_keras(result.values("dense_final"), "dense_final")

    def test_a_cut_in_two_with_the_stock_client(self):
        client = self.client()
        whole = client.infer("recommender", self.inputs()).values("dense_final")
        head = client.infer("recommender", self.inputs(), outputs=[triton_output("dense_hidden")])
        features = head.values("dense_hidden")
        shape = head.reply["outputs"][0]["shape"]
        tail = client.infer("recommender", [TritonInput("dense_hidden", shape, "FP32", features)])
        self.assertLess(kerf.largest_difference(tail.values("dense_final"), whole), 1e-6)

    def test_errors_are_told(self):
        client = self.client()
        with self.assertRaises(InferenceServerException) as failed:
            client.infer("nothing", self.inputs())
        self.assertEqual(failed.exception.args[0], 404)
        with self.assertRaises(InferenceServerException) as failed:
            client.infer("recommender", self.inputs()[:1])
        self.assertEqual(failed.exception.args[0], 400)
        self.assertIn("is also needed", failed.exception.args[1])
        # The connection is still good.
        self.assert_keras(client.infer("recommender", self.inputs()).values("dense_final"),
                          "dense_final")

    def test_kserve_rest_client(self):
        # InferenceRESTClient: the header in lower case, the model's name in the body, no outputs.
        inputs = self.inputs()
        request = json.dumps({"id": "5a8b", "model_name": "recommender",
                              "inputs": [i.tensor for i in inputs]}).encode()
        with contextlib.closing(
                http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)) as connection:
            connection.request("POST", "/v2/models/recommender/infer",
                               body=request + b"".join(i.raw for i in inputs),
                               headers={"content-type": "application/octet-stream",
                                        "inference-header-content-length": str(len(request))})
            response = connection.getresponse()
            reply = json.loads(response.read())
            self.assertEqual(response.status, 200, reply)
            self.assertEqual(reply["id"], "5a8b")
            self.assert_keras(reply["outputs"][0]["data"], "dense_final")
            connection.request("GET", "/v2/health/ready")
            self.assertEqual(json.loads(connection.getresponse().read()), {"ready": True})


if __name__ == "__main__":
    unittest.main()
