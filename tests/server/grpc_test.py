"""gRPC's own Python client against `kerf serve`, with stubs generated from kerf's .proto files, in
the forms in which tritonclient.grpc, KServe's clients and grpcurl send their calls."""
import array
import pathlib
import struct
import unittest

import grpc

import kerf
from served import Server

# Generated when `served` was imported.
from inference import grpc_service_pb2 as oip
from inference import grpc_service_pb2_grpc as oip_grpc

DATATYPES = {"<i4": "INT32", "<f4": "FP32"}


def input_tensor(name, values, raw=True):
    tensor = oip.ModelInferRequest.InferInputTensor(
        name=name, datatype=DATATYPES[values.dtype], shape=values.shape)
    if not raw:
        if tensor.datatype == "FP32":
            tensor.contents.fp32_contents.extend(values.values)
        else:
            tensor.contents.int_contents.extend(values.values)
    return tensor


def packed(values):
    return array.array("f" if values.dtype == "<f4" else "i", values.values).tobytes()


def floats(raw):
    return list(struct.unpack(f"<{len(raw) // 4}f", raw))


class Grpc(kerf.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(kerf.MODELS)
        cls.addClassCleanup(cls.server.stop)
        cls.channel = grpc.insecure_channel(cls.server.grpc)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = oip_grpc.GRPCInferenceServiceStub(cls.channel)
        cls.inputs = kerf.sample("recommender", "request")
        cls.truth = kerf.sample("recommender", "keras")

    def request(self, raw=True, **fields):
        request = oip.ModelInferRequest(model_name="recommender", **fields)
        for name, values in self.inputs.items():
            request.inputs.append(input_tensor(name, values, raw))
            if raw:
                request.raw_input_contents.append(packed(values))
        return request

    def assert_keras(self, got, name):
        self.assertLess(kerf.largest_difference(got, self.truth[name].values), 1e-5)

    def refused(self, code, call, request, **options):
        with self.assertRaises(grpc.RpcError) as failed:
            call(request, **options)
        self.assertEqual(failed.exception.code(), code, failed.exception.details())
        return failed.exception.details()

    def test_health_and_metadata(self):
        self.assertTrue(self.stub.ServerLive(oip.ServerLiveRequest()).live)
        self.assertTrue(self.stub.ServerReady(oip.ServerReadyRequest()).ready)
        for name, version, ready in [("recommender", "", True), ("recommender", "1", True),
                                     ("recommender", "2", False), ("nothing", "", False)]:
            reply = self.stub.ModelReady(oip.ModelReadyRequest(name=name, version=version))
            self.assertEqual(reply.ready, ready)
        metadata = self.stub.ServerMetadata(oip.ServerMetadataRequest())
        self.assertEqual(metadata.name, "kerf")
        self.assertIn("classification", metadata.extensions)
        model = self.stub.ModelMetadata(oip.ModelMetadataRequest(name="recommender"))
        self.assertEqual((model.name, list(model.versions)), ("recommender", ["1"]))
        self.assertEqual([(t.name, t.datatype, list(t.shape)) for t in model.inputs],
                         [("Segment", "INT32", [-1, 1]), ("Features", "FP32", [-1, 10])])
        self.assertEqual([(t.name, t.datatype, list(t.shape)) for t in model.outputs],
                         [("dense_final", "FP32", [-1, 4])])
        self.refused(grpc.StatusCode.NOT_FOUND, self.stub.ModelMetadata,
                     oip.ModelMetadataRequest(name="nothing"))
        config = self.stub.ModelConfig(oip.ModelConfigRequest(name="recommender")).config
        self.assertEqual(config.name, "recommender")
        self.assertGreater(config.max_batch_size, 0)
        self.assertEqual([list(i.dims) for i in config.input], [[1], [10]])
        index = self.stub.RepositoryIndex(oip.RepositoryIndexRequest())
        self.assertIn(("recommender", "1", "READY"),
                      [(m.name, m.version, m.state) for m in index.models])

    def test_statistics(self):
        def rows():
            stats, = self.stub.ModelStatistics(
                oip.ModelStatisticsRequest(name="recommender")).model_stats
            return stats.inference_count
        before = rows()
        self.stub.ModelInfer(self.request())
        self.assertEqual(rows() - before, self.truth["dense_final"].shape[0])

    def test_raw_contents_as_tritonclient_sends_them(self):
        request = self.request(id="my-id")
        request.outputs.add(name="dense_final")
        reply = self.stub.ModelInfer(request)
        self.assertEqual((reply.model_name, reply.model_version, reply.id),
                         ("recommender", "1", "my-id"))
        self.assertEqual((reply.outputs[0].name, reply.outputs[0].datatype),
                         ("dense_final", "FP32"))
        self.assertEqual(tuple(reply.outputs[0].shape), self.truth["dense_final"].shape)
        self.assert_keras(floats(reply.raw_output_contents[0]), "dense_final")

    def test_typed_contents_as_kserve_sends_them(self):
        reply = self.stub.ModelInfer(self.request(raw=False))
        self.assert_keras(floats(reply.raw_output_contents[0]), "dense_final")

    def test_outputs_come_in_the_order_in_which_they_are_asked_for(self):
        request = self.request()
        for name in ("concat", "dense_final", "dense_hidden"):
            request.outputs.add(name=name)
        reply = self.stub.ModelInfer(request)
        self.assertEqual([o.name for o in reply.outputs], ["concat", "dense_final",
                                                           "dense_hidden"])
        self.assertEqual(len(reply.raw_output_contents), 3)
        self.assert_keras(floats(reply.raw_output_contents[1]), "dense_final")

    def test_a_cut_in_two(self):
        head = self.request()
        head.outputs.add(name="dense_hidden")
        features = self.stub.ModelInfer(head)
        tail = oip.ModelInferRequest(model_name="recommender", model_version="1")
        tail.inputs.add(name="dense_hidden", datatype="FP32", shape=features.outputs[0].shape)
        tail.raw_input_contents.append(features.raw_output_contents[0])
        self.assert_keras(floats(self.stub.ModelInfer(tail).raw_output_contents[0]),
                          "dense_final")

    def test_a_large_batch(self):
        rows = 20000
        request = oip.ModelInferRequest(model_name="recommender")
        request.inputs.add(name="concat", datatype="FP32", shape=[rows, 18])
        request.raw_input_contents.append(bytes(rows * 18 * 4))
        request.outputs.add(name="concat")
        request.outputs.add(name="dense_final")
        reply = self.stub.ModelInfer(request)
        self.assertEqual(reply.raw_output_contents[0], bytes(rows * 18 * 4))
        scores = floats(reply.raw_output_contents[1])
        self.assertEqual(scores, scores[:4] * rows)

    def test_classification(self):
        request = self.request()
        request.outputs.add(name="dense_final").parameters["classification"].int64_param = 2
        reply = self.stub.ModelInfer(request)
        self.assertEqual(reply.outputs[0].datatype, "BYTES")
        batch, classes = self.truth["dense_final"].shape
        self.assertEqual(list(reply.outputs[0].shape), [batch, 2])
        raw, got = reply.raw_output_contents[0], []
        while raw:
            size, = struct.unpack_from("<I", raw)
            got.append(raw[4:4 + size].decode())
            raw = raw[4 + size:]
        for row in range(batch):
            scores = self.truth["dense_final"].values[row * classes:(row + 1) * classes]
            best = sorted(range(classes), key=lambda i: -scores[i])[:2]
            self.assertEqual([int(text.split(":")[1]) for text in got[2 * row:2 * row + 2]], best)
            for text, index in zip(got[2 * row:2 * row + 2], best):
                self.assertRegex(text, r"\A-?\d+\.\d{6}:\d+\Z")
                self.assertAlmostEqual(float(text.split(":")[0]), scores[index], places=4)

    def test_stream(self):
        def requests():
            for i in range(5):
                yield self.request(id=str(i))
            yield oip.ModelInferRequest(model_name="nothing", id="wrong")
            yield self.request(id="last")
        replies = {r.infer_response.id: r for r in self.stub.ModelStreamInfer(requests())}
        self.assertEqual(sorted(replies), ["0", "1", "2", "3", "4", "last", "wrong"])
        self.assertIn("there is no model 'nothing'", replies.pop("wrong").error_message)
        for reply in replies.values():
            self.assertFalse(reply.error_message)
            self.assert_keras(floats(reply.infer_response.raw_output_contents[0]), "dense_final")

    def test_a_stream_of_more_requests_than_are_answered_at_a_time(self):
        def large(i):
            request = oip.ModelInferRequest(model_name="recommender", id=str(i))
            request.inputs.add(name="concat", datatype="FP32", shape=[1 + 50 * (i % 7), 18])
            request.raw_input_contents.append(bytes((1 + 50 * (i % 7)) * 18 * 4))
            return request
        ids = [r.infer_response.id for r in self.stub.ModelStreamInfer(large(i)
                                                                       for i in range(300))]
        self.assertEqual(sorted(ids, key=int), [str(i) for i in range(300)])

    def test_a_stream_that_is_cancelled(self):
        def requests():
            for i in range(100):
                yield self.request(id=str(i))
        for read in (0, 1, 40):
            stream = self.stub.ModelStreamInfer(requests())
            for _ in range(read):
                next(stream)
            stream.cancel()
        self.assertEqual(len(list(self.stub.ModelStreamInfer(requests()))), 100)

    def test_what_is_wrong_is_said_with_the_right_code(self):
        invalid, infer = grpc.StatusCode.INVALID_ARGUMENT, self.stub.ModelInfer
        request = self.request()
        request.model_name = "nothing"
        self.assertIn("'nothing'", self.refused(grpc.StatusCode.NOT_FOUND, infer, request))
        request = self.request(model_version="7")
        self.assertIn("'7'", self.refused(grpc.StatusCode.NOT_FOUND, infer, request))
        request = self.request()
        request.inputs[0].contents.int_contents.append(1)
        self.assertIn("raw_input_contents", self.refused(invalid, infer, request))
        request = self.request()
        request.raw_input_contents.pop()
        self.assertIn("neither contents nor", self.refused(invalid, infer, request))
        request = self.request()
        request.raw_input_contents.append(b"1234")
        self.assertIn("3 entries", self.refused(invalid, infer, request))
        request = self.request()
        request.inputs[1].datatype = "FLOAT"
        self.assertIn("'FLOAT' is not a datatype", self.refused(invalid, infer, request))
        request = self.request()
        request.raw_input_contents[1] = request.raw_input_contents[1][:-1]
        self.assertIn("input Features: shape", self.refused(invalid, infer, request))
        request = self.request()
        request.inputs[1].shape[0] = 1 << 62
        self.refused(grpc.StatusCode.RESOURCE_EXHAUSTED, infer, request)
        request = self.request(raw=False)
        request.inputs[0].datatype = "INT8"
        request.inputs[0].contents.int_contents[0] = 1000
        self.assertIn("does not fit INT8", self.refused(invalid, infer, request))
        request = self.request()
        request.outputs.add(name="dense_finale")
        self.assertIn("dense_final", self.refused(invalid, infer, request))
        request = self.request()
        request.parameters["timeout"].string_param = "soon"
        self.assertIn("timeout", self.refused(invalid, infer, request))
        request = self.request()
        request.inputs[0].parameters["shared_memory_region"].string_param = "r"
        request.inputs[0].parameters["shared_memory_byte_size"].int64_param = 20
        request.raw_input_contents.pop(0)
        self.assertIn("--allow-shared-memory",
                      self.refused(grpc.StatusCode.UNIMPLEMENTED, infer, request))
        self.refused(grpc.StatusCode.UNIMPLEMENTED, self.stub.CudaSharedMemoryStatus,
                     oip.CudaSharedMemoryStatusRequest())
        self.refused(grpc.StatusCode.UNAVAILABLE, self.stub.RepositoryModelLoad,
                     oip.RepositoryModelLoadRequest(model_name="recommender"))

    def test_bytes_that_are_no_message(self):
        call = self.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for bad in (b"\xff", b"\x2a\xff\xff\xff\xff\x0f", b"\x0a\x05ab", b"\x00\x00\x00",
                    b"\x2a\x03\x1a\x01\x80", b"\x0b" * 500):
            self.assertIn("not", self.refused(grpc.StatusCode.INVALID_ARGUMENT, call, bad))

    def test_settings(self):
        trace = self.stub.TraceSetting(oip.TraceSettingRequest()).settings
        self.assertEqual(list(trace["trace_level"].value), ["OFF"])
        self.assertTrue(self.stub.LogSettings(oip.LogSettingsRequest()).settings["log_info"]
                        .bool_param)

    def test_grpc_health_check(self):
        # HealthCheckRequest{service=1}, HealthCheckResponse{status=1}: SERVING is 1.
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.assertEqual(check(b""), b"\x08\x01")
        self.refused(grpc.StatusCode.NOT_FOUND, check, b"\x0a\x07nothing")

    def test_reflection(self):
        # ServerReflectionRequest{list_services=7}: what grpcurl asks first.
        call = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        reply = next(iter(call(iter([b"\x3a\x01*"]))))
        for service in (b"inference.GRPCInferenceService", b"grpc.health.v1.Health"):
            self.assertIn(service, reply)
        # file_containing_symbol=4
        symbol = b"inference.GRPCInferenceService"
        reply = next(iter(call(iter([b"\x22" + bytes([len(symbol)]) + symbol]))))
        self.assertIn(b"raw_input_contents", reply)


class SharedMemory(kerf.TestCase):
    def test_tensors_in_shared_memory(self):
        server = Server(kerf.MODELS, "--allow-shared-memory")
        self.addCleanup(server.stop)
        channel = grpc.insecure_channel(server.grpc)
        self.addCleanup(channel.close)
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        key = f"/kerf_grpc_test_{server.process.pid}"
        file = pathlib.Path("/dev/shm") / key[1:]
        rows = [float(i % 7) for i in range(36)]
        data = array.array("f", rows).tobytes()
        file.write_bytes(bytes(8) + data + bytes(2 * 16))
        self.addCleanup(file.unlink)
        stub.SystemSharedMemoryRegister(oip.SystemSharedMemoryRegisterRequest(
            name="r", key=key, offset=8, byte_size=len(data) + 32))
        regions = stub.SystemSharedMemoryStatus(oip.SystemSharedMemoryStatusRequest()).regions
        self.assertEqual((regions["r"].key, regions["r"].offset, regions["r"].byte_size),
                         (key, 8, len(data) + 32))

        request = oip.ModelInferRequest(model_name="recommender")
        tensor = request.inputs.add(name="concat", datatype="FP32", shape=[2, 18])
        plain = oip.ModelInferRequest()
        plain.CopyFrom(request)
        plain.raw_input_contents.append(data)
        expected = stub.ModelInfer(plain).raw_output_contents[0]
        tensor.parameters["shared_memory_region"].string_param = "r"
        tensor.parameters["shared_memory_byte_size"].int64_param = len(data)
        output = request.outputs.add(name="dense_final")
        output.parameters["shared_memory_region"].string_param = "r"
        output.parameters["shared_memory_byte_size"].int64_param = 32
        output.parameters["shared_memory_offset"].int64_param = len(data)
        reply = stub.ModelInfer(request)
        self.assertEqual(list(reply.raw_output_contents), [b""])
        self.assertEqual(file.read_bytes()[8 + len(data):], expected)

        # A client that shrinks its memory gets an error, and the server goes on.
        with file.open("r+b") as memory:
            memory.truncate(16)
        with self.assertRaises(grpc.RpcError) as failed:
            stub.ModelInfer(request)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        with self.assertRaises(grpc.RpcError) as failed:
            stub.SystemSharedMemoryRegister(oip.SystemSharedMemoryRegisterRequest(
                name="s", key=key, byte_size=1 << 40))
        self.assertEqual(failed.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        stub.SystemSharedMemoryUnregister(oip.SystemSharedMemoryUnregisterRequest())
        self.assertFalse(stub.SystemSharedMemoryStatus(
            oip.SystemSharedMemoryStatusRequest()).regions)
        self.assertEqual(stub.ModelInfer(plain).raw_output_contents[0], expected)


if __name__ == "__main__":
    unittest.main()
