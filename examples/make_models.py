#!/usr/bin/env python3
"""Makes the demo's two models, a request for each, and what Keras answers.

    KERAS_BACKEND=torch python3 make_models.py [FOLDER]

Needs Keras 3 with any backend; what it writes (models/ and samples/ in FOLDER, by default the
folder of this script) is committed, so nobody needs it to try kerf. The models are small and
untrained: every weight is drawn from a seeded generator, as multiples of 1/256 or so.

  models/recommender.keras   two inputs, a segment's id and ten features: an embedding of the
                             segment beside the features, a hidden layer, four scores
  models/classifier.keras    images of 16 x 16 x 3: convolutions, ten probabilities
  samples/NAME.request.json  a request in the form of the Open Inference Protocol
  samples/NAME.keras.json    what Keras computes for it: the output of every layer that gives vectors
"""
import json
import pathlib
import sys
import zlib

import keras
import numpy as np
from keras import layers


def recommender():
    segment = keras.Input((1,), dtype="int32", name="Segment")
    features = keras.Input((10,), name="Features")
    x = layers.Embedding(50, 8, name="Embedding-Segment")(segment)
    x = layers.Flatten(name="flat")(x)
    x = layers.Concatenate(name="concat")([x, features])
    x = layers.Dense(16, activation="relu", name="dense_hidden")(x)
    scores = layers.Dense(4, activation=layers.LeakyReLU(negative_slope=0.3), name="dense_final")
    return keras.Model([segment, features], scores(x), name="recommender")


def classifier():
    return keras.Sequential([
        keras.Input((16, 16, 3), name="input_layer"),
        layers.Rescaling(2.0, offset=-1.0, name="rescaling"),
        layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv2d"),
        layers.BatchNormalization(name="batch_normalization"),
        layers.ReLU(name="re_lu"),
        layers.MaxPooling2D(name="max_pooling2d"),
        layers.Conv2D(16, 3, activation="relu", name="conv2d_1"),
        layers.GlobalAveragePooling2D(name="global_average_pooling2d"),
        layers.Dense(10, activation="softmax", name="dense"),
    ], name="sequential")


def draw_weights(model, seed):
    """Weights of a sensible size on a coarse grid, the same on every machine."""
    for index, variable in enumerate(model.variables):
        if not str(variable.dtype).startswith("float"):
            continue  # the state of a random generator
        random = np.random.default_rng([seed, index])
        shape = tuple(variable.shape)
        if variable.name == "gamma":
            values = random.integers(8, 25, size=shape) / 16
        elif variable.name == "moving_variance":
            values = random.integers(8, 33, size=shape) / 16
        elif variable.name in ("beta", "moving_mean"):
            values = random.integers(-8, 9, size=shape) / 16
        else:
            spread = {"embeddings": 0.5, "bias": 0.125}.get(
                variable.name, 1 / np.sqrt(np.prod(shape[:-1])))
            values = np.round(random.normal(size=shape) * spread * 256) / 256
        variable.assign(values.astype("float32"))


def sample(model, name, batch, seed):
    """One batch per input, in the order of the inputs."""
    arrays = []
    for index, tensor in enumerate(model.inputs):
        random = np.random.default_rng([seed, 1000003, index])
        shape = (batch, *tensor.shape[1:])
        if tensor.name == "Segment":
            arrays.append(random.integers(0, 50, size=shape).astype("int32"))
        elif name == "classifier":
            arrays.append((random.integers(0, 256, size=shape) / 255).astype("float32"))
        else:
            arrays.append((np.round(random.normal(size=shape) * 64) / 64).astype("float32"))
    return arrays


def tensor_json(name, array):
    datatype = {"int32": "INT32", "float32": "FP32"}[str(array.dtype)]
    # A float32 in its shortest form, which reads back as the same float32.
    data = [int(x) if datatype == "INT32" else float(str(x)) for x in array.reshape(-1)]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": data}


def write(folder, name, model, seed_name, batch):
    seed = zlib.crc32(seed_name.encode())
    draw_weights(model, seed)
    model.save(folder / "models" / f"{name}.keras")
    arrays = sample(model, name, batch, seed)
    request = {"inputs": [tensor_json(t.name, a) for t, a in zip(model.inputs, arrays)]}
    vectors = [layer for layer in model.layers
               if not isinstance(layer, layers.InputLayer) and len(layer.output.shape) == 2]
    whole = keras.Model(model.inputs, [layer.output for layer in vectors])
    results = whole(arrays if len(arrays) > 1 else arrays[0], training=False)
    truth = {"outputs": [tensor_json(layer.name, np.asarray(keras.ops.convert_to_numpy(y)))
                         for layer, y in zip(vectors, results)]}
    samples = folder / "samples"
    (samples / f"{name}.request.json").write_text(json.dumps(request) + "\n")
    (samples / f"{name}.keras.json").write_text(json.dumps(truth) + "\n")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    folder = folder.parent if folder.is_file() else folder
    for part in ("models", "samples"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write(folder, "recommender", recommender(), "recommender", batch=5)
    write(folder, "classifier", classifier(), "small_cnn", batch=2)


if __name__ == "__main__":
    main()
