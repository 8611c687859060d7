#!/usr/bin/env python3
"""Fills the corpora of the fuzz targets with small files: seeds.py DATA CORPUS."""
import base64
import json
import pathlib
import shutil
import sys
import zipfile

MAX_SIZE = 65536

# Inference messages: JSON, and the bytes behind it.
MESSAGES = [
    (b'{"id":"1","inputs":[{"name":"x","shape":[2,3],"datatype":"FP32",'
     b'"data":[[1,-2.5e-3,3],[NaN,Infinity,0]]}],"outputs":[{"name":"y"}]}', b""),
    (b'{"inputs":[{"name":"a\\u00e9","shape":[4],"datatype":"INT64","data":[1,2,-3,4]},'
     b'{"name":"b","shape":[2],"datatype":"BOOL","data":[true,false]}],'
     b'"parameters":{"binary_data_output":true,"timeout":5}}', b""),
    (b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP16","parameters":{"binary_data_size":4}},'
     b'{"name":"i","shape":[1],"datatype":"INT32","parameters":{"binary_data_size":4}}],'
     b'"outputs":[{"name":"y","parameters":{"binary_data":false}}]}', b"\0\x3c\0\xc1\7\0\0\0"),
    (b'{"model_name":"m","x":[{"y":[null]}],"inputs":[{"data":[],"name":"x","shape":[0,3],'
     b'"datatype":"FP64"}]}', b""),
    (b'{"inputs":[{"name":"t","shape":[2,1],"datatype":"BYTES",'
     b'"data":[["a \\"word\\" \\u00e9\\ud83d\\ude00"],["b"]]}]}', b""),
    (b'{"inputs":[{"name":"t","shape":[2],"datatype":"BYTES",'
     b'"parameters":{"binary_data_size":11}}]}', b"\3\0\0\0abc\0\0\0\0"),
]

# A model of TensorFlow.js, and the bytes of its shards.
TFJS = (b'{"modelTopology":{"keras_version":"2.1","model_config":{"class_name":"Sequential","config":'
        b'[{"class_name":"Dense","config":{"name":"d","units":2,"batch_input_shape":[null,1]}}]}},'
        b'"weightsManifest":[{"paths":["a","b"],"weights":[{"name":"d/kernel","shape":[1,2],'
        b'"dtype":"float32","quantization":{"dtype":"uint8","scale":0.5,"min":-1}},'
        b'{"name":"d/bias","shape":[2],"dtype":"float32"}]}]}', b"\1\2\0\0\0\0\0\0\0\0")


def field(number: int, value: "int | bytes") -> bytes:
    """A field of a Protocol Buffers message, of less than 128 bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def pair(key: bytes, value: bytes) -> bytes:
    return bytes([0, len(key), len(value)]) + key + value


MODEL = b'{"class_name":"Sequential","config":{"layers":[{"class_name":"Dense"}]}}'
KIND = b"_tf_keras_sequential"

INDEX = b'{"weight_map":{"/layers/dense/vars":["a"],"/layers/dense_1/vars":"b"}}'

# The parts of a SavedModel: its metadata in both places, its objects, a block of its index.
SAVED_MODELS = [
    field(1, field(2, 1) + field(3, b"root") + field(4, KIND) + field(5, MODEL)),
    field(2, field(7, field(1, field(4, field(1, b"_tf_keras_sequential") + field(3, b"{}"))))),
    field(1, field(1, field(1, 1) + field(2, b"layer-0")))
    + field(1, field(2, field(1, b"VARIABLE_VALUE") + field(3, b"layer-0/kernel"))),
    pair(b"", field(1, 1)) + pair(b"k", field(1, 1) + field(2, field(2, field(1, 3))) + field(5, 12))
    + b"\0\0\0\0\1\0\0\0",
]


# TensorFlow Serving's JSON bodies, each behind a byte that picks the signature.
PREDICTS = [
    b'\0{"instances":[{"a":[1,2.5],"b":3,"c_bytes":["x"]},{"a":[0,-1e3],"b":4,"c_bytes":[{"b64":"eQ=="}]}]}',
    b'\x03{"signature_name":"cut","instances":[[1,2],[3,4]]}',
    b'\x02{"inputs":{"c_bytes":[["a"],["b"]]}}',
    b'\x04{"inputs":[1,2,3]}',
    b'\x0f{"context":{"a":1.5},"examples":[{"b":[1,2]},{"b":[{"b64":"eA=="}]}]}',
]

# gRPC messages: a ModelInferRequest with raw and one with typed contents; a TensorProto each way.
PROTOBUFS = [
    b"\0" + field(1, b"m") + field(5, field(1, b"x") + field(2, b"FP32") + field(3, b"\x01\x02"))
    + field(6, field(1, b"y") + field(2, field(1, b"classification") + field(2, field(2, 3))))
    + field(7, b"\0\0\x80\x3f\0\0\0\x40"),
    b"\0" + field(5, field(1, b"x") + field(2, b"INT8") + field(3, b"\x02")
                  + field(5, field(2, b"\x01\x02"))),
    b"\x01" + field(1, 1) + field(2, field(2, field(1, 2))) + field(5, b"\0\0\x80\x3f"),
    b"\x01" + field(1, 7) + field(2, field(2, field(1, 2))) + field(4, b"\x01\x02abc"),
]


def main(data: pathlib.Path, corpus: pathlib.Path) -> None:
    for i, (message, blobs) in enumerate(MESSAGES):
        size = len(message).to_bytes(2, "little")
        (corpus / "http_infer" / f"message{i}").write_bytes(size + message + blobs)
    for i, body in enumerate(PREDICTS):
        (corpus / "predict_json" / f"body{i}").write_bytes(body)
    for i, message in enumerate(PROTOBUFS):
        (corpus / "protobuf" / f"message{i}").write_bytes(message)
    size = len(TFJS[0]).to_bytes(2, "little")
    (corpus / "tfjs" / "model").write_bytes(size + TFJS[0] + TFJS[1])
    for i, part in enumerate(SAVED_MODELS):
        (corpus / "saved_model" / f"part{i}").write_bytes(part)
    for function in json.loads((data / "lambdas" / "lambdas.json").read_text()):
        for version, code in function["codes"].items():
            seed = corpus / "lambda" / f"{function['name']}-{version}"
            seed.write_bytes(base64.b64decode(code))
    for path in sorted(data.rglob("*")):
        if not path.is_file() or path.stat().st_size > MAX_SIZE:
            continue
        if path.suffix == ".npy":
            shutil.copy(path, corpus / "npy" / path.name)
        elif path.suffix == ".h5":
            shutil.copy(path, corpus / "hdf5" / path.name)
        elif path.suffix == ".keras" and zipfile.is_zipfile(path):
            shutil.copy(path, corpus / "archive" / path.name)
            with zipfile.ZipFile(path) as members:
                if "config.json" in members.namelist():
                    (corpus / "config" / path.stem).write_bytes(members.read("config.json"))
                if "model.weights.h5" in members.namelist():
                    weights = members.read("model.weights.h5")
                    if len(weights) <= MAX_SIZE:
                        (corpus / "hdf5" / path.stem).write_bytes(weights)
                    for text in (members.read("config.json"), INDEX):
                        if len(text) < 2**16 and len(text) + len(weights) <= MAX_SIZE:
                            size = len(text).to_bytes(2, "little")
                            seed = corpus / "apart" / f"{path.stem}-{len(text)}"
                            seed.write_bytes(size + text + weights)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
