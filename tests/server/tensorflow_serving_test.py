"""TensorFlow Serving's REST and gRPC interfaces of `kerf serve`: requests and replies as its
documentation prints them, by Python's http.client and gRPC's own client."""
import array
import contextlib
import http.client
import json
import unittest
from urllib.parse import urlsplit

import grpc

import kerf
from served import Server

# Generated when `served` was imported.
from tensorflow import tensor_pb2 as tf
from tensorflow_serving import model_service_pb2 as models
from tensorflow_serving import model_service_pb2_grpc as models_grpc
from tensorflow_serving import prediction_service_pb2 as tfs
from tensorflow_serving import prediction_service_pb2_grpc as tfs_grpc
from tensorflow_serving import session_service_pb2 as sessions
from tensorflow_serving import session_service_pb2_grpc as sessions_grpc


class TestCase(kerf.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(kerf.MODELS)
        cls.addClassCleanup(cls.server.stop)
        cls.inputs = kerf.sample("recommender", "request")
        cls.truth = kerf.sample("recommender", "keras")["dense_final"]
        cls.rows = cls.truth.shape[0]

    def row(self, name, i):
        values = self.inputs[name]
        size = len(values.values) // self.rows
        return values.values[i * size:(i + 1) * size]

    def column(self, name):
        return [self.row(name, i) for i in range(self.rows)]

    def assert_keras(self, got):
        flat = [value for row in got for value in row]
        self.assertLess(kerf.largest_difference(flat, self.truth.values), 1e-5)


class Rest(TestCase):
    def ask(self, method, path, body=None, status=200):
        with contextlib.closing(
                http.client.HTTPConnection(urlsplit(self.server.http).netloc, timeout=60)) as c:
            c.request(method, path, None if body is None else
                      body if isinstance(body, str) else json.dumps(body))
            response = c.getresponse()
            text = response.read()
            self.assertEqual(response.status, status, text)
            self.assertEqual(response.headers["Content-Type"], "application/json")
            return json.loads(text)

    def test_status(self):
        expected = {"model_version_status": [
            {"version": "1", "state": "AVAILABLE",
             "status": {"error_code": "OK", "error_message": ""}}]}
        self.assertEqual(self.ask("GET", "/v1/models/recommender"), expected)
        self.assertEqual(self.ask("GET", "/v1/models/recommender/versions/1"), expected)
        error = self.ask("GET", "/v1/models/nothing", status=404)["error"]
        self.assertEqual(error, "Could not find any versions of model nothing")

    def test_metadata(self):
        metadata = self.ask("GET", "/v1/models/recommender/metadata")
        self.assertEqual(metadata["model_spec"],
                         {"name": "recommender", "signature_name": "", "version": "1"})
        signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
        self.assertEqual(signature["inputs"]["Segment"], {
            "dtype": "DT_INT32", "name": "Segment",
            "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}],
                             "unknown_rank": False}})
        self.assertEqual(signature["method_name"], "tensorflow/serving/predict")

    def test_predict_by_rows(self):
        instances = [{"Segment": self.row("Segment", i), "Features": self.row("Features", i)}
                     for i in range(self.rows)]
        for path in ("/v1/models/recommender:predict", "/v1/models/recommender/versions/1:predict"):
            reply = self.ask("POST", path, {"instances": instances})
            self.assert_keras(reply["predictions"])
        reply = self.ask("POST", "/v1/models/recommender:predict",
                         {"signature_name": "serving_default", "instances": instances})
        self.assert_keras(reply["predictions"])

    def test_predict_by_columns(self):
        reply = self.ask("POST", "/v1/models/recommender:predict",
                         {"inputs": {"Features": self.column("Features"),
                                     "Segment": self.column("Segment")}})
        self.assert_keras(reply["outputs"])

    def test_one_input_needs_no_name(self):
        images = kerf.sample("classifier", "request")
        (name, image), = images.items()
        output, = self.ask("GET", "/v2/models/classifier")["outputs"]
        truth = kerf.sample("classifier", "keras")[output["name"]]

        def nested(shape, values):
            if len(shape) == 1:
                return list(values)
            size = len(values) // shape[0]
            return [nested(shape[1:], values[i * size:(i + 1) * size]) for i in range(shape[0])]
        data = nested(image.shape, image.values)
        for body, key in (({"instances": data}, "predictions"), ({"inputs": data}, "outputs"),
                          ({"inputs": {name: data}}, "outputs"),
                          ({"instances": [{name: one} for one in data]}, "predictions")):
            reply = self.ask("POST", "/v1/models/classifier:predict", body)[key]
            flat = [value for row in reply for value in row]
            self.assertLess(kerf.largest_difference(flat, truth.values), 1e-5)

    def test_a_cut_by_the_default_signature(self):
        concat = [[float(i % 5) for i in range(18)]]
        oip = self.ask("POST", "/v2/models/recommender/infer",
                       {"inputs": [{"name": "concat", "datatype": "FP32", "shape": [1, 18],
                                    "data": concat}]})["outputs"][0]["data"]
        reply = self.ask("POST", "/v1/models/recommender:predict",
                         {"instances": [{"concat": concat[0]}]})
        self.assertEqual(reply["predictions"], [oip])

    def test_numbers_as_the_dtype_has_them(self):
        text = json.dumps({"inputs": {"Segment": self.column("Segment"), "Features": [
            [int(value) for value in row] for row in self.column("Features")]}})
        self.ask("POST", "/v1/models/recommender:predict", text)  # floats may be integers
        error = self.ask("POST", "/v1/models/recommender:predict", {
            "inputs": {"Segment": [[1.0]], "Features": [[0.0] * 10]}}, status=400)["error"]
        self.assertIn("1.0", error)  # integers have no decimals

    def test_what_is_wrong_is_said(self):
        def error(body, status=400, path="/v1/models/recommender:predict", method="POST"):
            return self.ask(method, path, body, status)["error"]
        self.assertIn("Missing 'inputs' or 'instances' key", error({}))
        self.assertIn("only one of", error({"inputs": [1], "instances": [1]}))
        self.assertIn("not JSON", error("{"))
        self.assertIn("one instance at least", error({"instances": []}))
        self.assertIn("must be named", error({"instances": [[1]]}))
        self.assertIn("Features", error({"instances": [{"Segment": [1]}]}))
        self.assertIn("same tensors", error({"instances": [
            {"Segment": [1], "Features": [0] * 10}, {"Segment": [1]}]}))
        self.assertIn("Features", error({"inputs": {"Segment": [[1], [1]],
                                                    "Features": [[0] * 10, [0] * 9]}}))
        self.assertIn("not found in signature def", error({"signature_name": "x", "inputs": [1]}))
        self.assertEqual(error({"inputs": [1]}, 404, "/v1/models/nothing:predict"),
                         "Servable not found for request: Latest(nothing)")
        self.assertEqual(error({"inputs": [1]}, 404, "/v1/models/recommender/versions/7:predict"),
                         "Servable not found for request: Specific(recommender, 7)")
        self.assertIn("Unrecognized servable version label: canary",
                      error({"inputs": [1]}, 400, "/v1/models/recommender/labels/canary:predict"))
        for method, path in (("GET", "/v1/models/recommender:predict"), ("GET", "/v1/models"),
                             ("POST", "/v1/models/recommender:explain"),
                             ("POST", "/v1/models/recommender/versions/x:predict")):
            self.assertEqual(error("{}" if method == "POST" else None, 400, path, method),
                             f"Malformed request: {method} {path}")
        deep = "[" * 3000 + "1" + "]" * 3000
        self.assertTrue(error(f'{{"instances":{deep}}}'))
        self.assertTrue(error(f'{{"inputs":{{"Segment":{deep}}}}}'))

    def test_classify(self):
        examples = [{"Segment": self.row("Segment", i), "Features": [
            float(value) for value in self.row("Features", i)]} for i in range(self.rows)]
        results = self.ask("POST", "/v1/models/recommender:classify",
                           {"examples": examples})["results"]
        self.assertEqual([label for label, _ in results[0]], ["0", "1", "2", "3"])
        self.assert_keras([[score for _, score in row] for row in results])
        context = self.ask("POST", "/v1/models/recommender:classify", {
            "context": {"Segment": examples[0]["Segment"]},
            "examples": [{"Features": examples[0]["Features"]}]})["results"]
        self.assertEqual(context, results[:1])
        error = self.ask("POST", "/v1/models/recommender:regress", {"examples": examples}, 400)
        self.assertIn("4 values an example", error["error"])
        for bad in ({"examples": []}, {"examples": [{"Segment": [1, 1.5]}]},
                    {"examples": [{"Segment": 1}]}, {"examples": [{"Segment": {"b64": "?"}}]}):
            self.ask("POST", "/v1/models/recommender:classify", bad, 400)


class RestOfOpenInference(TestCase):
    """What the Open Inference Protocol's extensions have over HTTP."""

    ask = Rest.ask

    def test_config_and_settings(self):
        config = self.ask("GET", "/v2/models/recommender/versions/1/config")
        self.assertEqual((config["name"], config["backend"]), ("recommender", "kerf"))
        self.assertEqual(config["input"][1],
                         {"name": "Features", "data_type": "TYPE_FP32", "dims": [10]})
        self.assertEqual(self.ask("GET", "/v2/trace/setting")["trace_level"], ["OFF"])
        self.assertEqual(self.ask("GET", "/v2/models/recommender/trace/setting")["trace_level"],
                         ["OFF"])
        self.assertTrue(self.ask("GET", "/v2/logging")["log_info"])
        self.assertTrue(self.ask("POST", "/v2/logging", {})["log_info"])
        self.ask("POST", "/v2/trace/setting", {"trace_level": ["TIMESTAMPS"]}, 501)

    def test_repository(self):
        index = self.ask("POST", "/v2/repository/index", {"ready": True})
        self.assertIn({"name": "recommender", "version": "1", "state": "READY"}, index)
        # As long as control is not allowed, for clients as for anybody.
        for verb in ("load", "unload"):
            self.assertIn("error", self.ask(
                "POST", f"/v2/repository/models/recommender/{verb}",
                {"parameters": {"unload_dependents": False}} if verb == "unload" else {}, 503))

    def test_classification(self):
        inputs = [{"name": name, "datatype": {"<i4": "INT32", "<f4": "FP32"}[values.dtype],
                   "shape": values.shape, "data": values.values}
                  for name, values in self.inputs.items()]
        reply = self.ask("POST", "/v2/models/recommender/infer", {
            "inputs": inputs,
            "outputs": [{"name": "dense_final", "parameters": {"classification": 1}}]})
        output = reply["outputs"][0]
        self.assertEqual((output["datatype"], output["shape"]), ("BYTES", [self.rows, 1]))
        for i, text in enumerate(output["data"]):
            scores = self.truth.values[4 * i:4 * i + 4]
            self.assertEqual(int(text.split(":")[1]), scores.index(max(scores)))

    def test_statistics(self):
        def count():
            stats, = self.ask("GET", "/v2/models/recommender/versions/1/stats")["model_stats"]
            self.assertEqual((stats["name"], stats["version"]), ("recommender", "1"))
            self.assertGreater(stats["memory_usage"][0]["byte_size"], 0)
            return (stats["inference_count"], stats["execution_count"],
                    stats["inference_stats"]["compute_infer"]["ns"])
        before = count()
        self.ask("POST", "/v2/models/recommender/infer", {
            "inputs": [{"name": "concat", "datatype": "FP32", "shape": [3, 18],
                        "data": [0.0] * 54}]})
        after = count()
        self.assertEqual((after[0] - before[0], after[1] - before[1]), (3, 1))
        self.assertGreater(after[2], before[2])
        everything = self.ask("GET", "/v2/models/stats")["model_stats"]
        self.assertEqual({stats["name"] for stats in everything}, {"recommender", "classifier"})
        self.ask("GET", "/v2/models/nothing/stats", None, 404)

    def test_shared_memory_is_off(self):
        self.ask("GET", "/v2/systemsharedmemory/status", None, 501)
        self.ask("POST", "/v2/systemsharedmemory/region/r/register", {"key": "/r"}, 501)
        self.ask("GET", "/v2/cudasharedmemory/status", None, 501)


class Grpc(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.channel = grpc.insecure_channel(cls.server.grpc)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = tfs_grpc.PredictionServiceStub(cls.channel)

    def spec(self, **fields):
        return tfs.ModelSpec(name="recommender", **fields)

    def tensor(self, name, content=True):
        values = self.inputs[name]
        floats = values.dtype == "<f4"
        proto = tf.TensorProto(dtype=tf.DT_FLOAT if floats else tf.DT_INT32)
        for dim in values.shape:
            proto.tensor_shape.dim.add(size=dim)
        if content:  # as tf.make_tensor_proto does for arrays
            proto.tensor_content = array.array("f" if floats else "i", values.values).tobytes()
        elif floats:
            proto.float_val.extend(values.values)
        else:
            proto.int_val.extend(values.values)
        return proto

    def request(self, content=True, **spec):
        request = tfs.PredictRequest(model_spec=self.spec(**spec))
        for name in self.inputs:
            request.inputs[name].CopyFrom(self.tensor(name, content))
        return request

    def refused(self, code, call, request):
        with self.assertRaises(grpc.RpcError) as failed:
            call(request)
        self.assertEqual(failed.exception.code(), code, failed.exception.details())
        return failed.exception.details()

    def assert_keras_flat(self, got):
        self.assertLess(kerf.largest_difference(list(got), self.truth.values), 1e-5)

    def test_predict(self):
        for content in (True, False):
            reply = self.stub.Predict(self.request(content))
            self.assertEqual((reply.model_spec.name, reply.model_spec.version.value,
                              reply.model_spec.signature_name),
                             ("recommender", 1, "serving_default"))
            output = reply.outputs["dense_final"]
            self.assertEqual(output.dtype, tf.DT_FLOAT)
            self.assertEqual(tuple(dim.size for dim in output.tensor_shape.dim), self.truth.shape)
            self.assert_keras_flat(output.float_val)

    def test_output_filter_fetches_any_tensor(self):
        request = self.request()
        request.output_filter.extend(["dense_hidden", "dense_final"])
        reply = self.stub.Predict(request)
        self.assertEqual(set(reply.outputs), {"dense_hidden", "dense_final"})
        tail = tfs.PredictRequest(model_spec=self.spec())
        tail.inputs["dense_hidden"].CopyFrom(reply.outputs["dense_hidden"])
        self.assert_keras_flat(self.stub.Predict(tail).outputs["dense_final"].float_val)

    def test_one_value_fills_a_tensor(self):
        def one(values, size):
            request = tfs.PredictRequest(model_spec=self.spec())
            proto = request.inputs["concat"]
            proto.dtype = tf.DT_FLOAT
            for dim in (size, 18):
                proto.tensor_shape.dim.add(size=dim)
            proto.float_val.extend(values)
            return self.stub.Predict(request).outputs["dense_final"].float_val
        self.assertEqual(list(one([0.5], 2)), list(one([0.5] * 36, 2)))
        self.assertEqual(list(one([], 1)), list(one([0.0] * 18, 1)))

    def test_what_is_wrong_is_said_with_the_right_code(self):
        invalid, predict = grpc.StatusCode.INVALID_ARGUMENT, self.stub.Predict
        self.refused(grpc.StatusCode.NOT_FOUND, predict,
                     tfs.PredictRequest(model_spec=tfs.ModelSpec(name="nothing")))
        request = self.request()
        request.model_spec.version.value = 9
        self.assertIn("Specific(recommender, 9)",
                      self.refused(grpc.StatusCode.NOT_FOUND, predict, request))
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, predict, self.request(signature_name="x"))
        self.refused(invalid, predict, self.request(version_label="x"))
        request = self.request()
        del request.inputs["Features"]
        self.assertIn("Features", self.refused(invalid, predict, request))
        request = self.request()
        request.inputs["Features"].tensor_content = b"12345"
        self.assertIn("input Features", self.refused(invalid, predict, request))
        request = self.request(content=False)
        request.inputs["Features"].float_val.append(1)
        self.assertIn("more than", self.refused(invalid, predict, request))
        request = self.request()
        request.inputs["Features"].dtype = tf.DT_COMPLEX64
        self.refused(invalid, predict, request)
        request = self.request()
        request.inputs["Features"].tensor_shape.dim[0].size = -1
        self.refused(invalid, predict, request)

    def test_metadata_and_status(self):
        reply = self.stub.GetModelMetadata(tfs.GetModelMetadataRequest(
            model_spec=self.spec(), metadata_field=["signature_def"]))
        signatures = tfs.SignatureDefMap()
        self.assertEqual(reply.metadata["signature_def"].type_url,
                         "type.googleapis.com/tensorflow.serving.SignatureDefMap")
        self.assertTrue(reply.metadata["signature_def"].Unpack(signatures))
        signature = signatures.signature_def["serving_default"]
        self.assertEqual(signature.inputs["Features"].dtype, tf.DT_FLOAT)
        self.assertEqual([d.size for d in signature.inputs["Features"].tensor_shape.dim], [-1, 10])
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.stub.GetModelMetadata,
                     tfs.GetModelMetadataRequest(model_spec=self.spec()))
        stub = models_grpc.ModelServiceStub(self.channel)
        status = stub.GetModelStatus(models.GetModelStatusRequest(model_spec=self.spec()))
        self.assertEqual([(s.version, s.state) for s in status.model_version_status],
                         [(1, models.ModelVersionStatus.AVAILABLE)])
        self.refused(grpc.StatusCode.NOT_FOUND, stub.GetModelStatus, models.GetModelStatusRequest(
            model_spec=tfs.ModelSpec(name="nothing")))
        self.refused(grpc.StatusCode.UNIMPLEMENTED, stub.HandleReloadConfigRequest,
                     models.ReloadConfigRequest())

    def test_session_run_is_a_cut(self):
        stub = sessions_grpc.SessionServiceStub(self.channel)
        request = sessions.SessionRunRequest(model_spec=self.spec(),
                                             fetch=["dense_hidden:0", "dense_final"])
        for name in self.inputs:
            request.feed.add(name=name).tensor.CopyFrom(self.tensor(name))
        reply = stub.SessionRun(request)
        self.assertEqual([t.name for t in reply.tensor], ["dense_hidden:0", "dense_final"])
        self.assert_keras_flat(reply.tensor[1].tensor.float_val)
        tail = sessions.SessionRunRequest(model_spec=self.spec(), fetch=["dense_final"])
        tail.feed.add(name="dense_hidden").tensor.CopyFrom(reply.tensor[0].tensor)
        self.assert_keras_flat(stub.SessionRun(tail).tensor[0].tensor.float_val)
        request.target.append("train")
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, stub.SessionRun, request)

    def examples(self):
        examples = tfs.Input()
        for i in range(self.rows):
            feature = examples.example_list.examples.add().features.feature
            feature["Segment"].int64_list.value.extend(self.row("Segment", i))
            feature["Features"].float_list.value.extend(self.row("Features", i))
        return examples

    def test_classify_and_multi_inference(self):
        reply = self.stub.Classify(tfs.ClassificationRequest(model_spec=self.spec(),
                                                             input=self.examples()))
        rows = reply.result.classifications
        self.assertEqual([c.label for c in rows[0].classes], ["0", "1", "2", "3"])
        self.assert_keras([[c.score for c in row.classes] for row in rows])
        self.assertIn("4 values an example", self.refused(
            grpc.StatusCode.INVALID_ARGUMENT, self.stub.Regress,
            tfs.RegressionRequest(model_spec=self.spec(), input=self.examples())))
        request = tfs.MultiInferenceRequest(input=self.examples())
        for _ in range(2):
            request.tasks.add(model_spec=self.spec(), method_name="tensorflow/serving/classify")
        results = self.stub.MultiInference(request).results
        self.assertEqual([r.classification_result for r in results], [reply.result] * 2)
        request.tasks[0].method_name = "tensorflow/serving/explain"
        self.refused(grpc.StatusCode.UNIMPLEMENTED, self.stub.MultiInference, request)
        self.refused(grpc.StatusCode.INVALID_ARGUMENT, self.stub.Classify,
                     tfs.ClassificationRequest(model_spec=self.spec()))


if __name__ == "__main__":
    unittest.main()
