#!/usr/bin/env python3
"""Makes lambdas.json: functions as people give them to Lambda layers, compiled by every Python.

    PYTHON make_lambdas.py dump            (Python 2.7 to 3.14) prints the compiled functions
    python3 make_lambdas.py join DUMP...   prints lambdas.json; needs NumPy

What a function gives is computed by running it on NumPy arrays, with the few functions of
keras.backend and TensorFlow that it calls written in NumPy below.
"""
from __future__ import print_function

import base64
import json
import marshal
import sys

# name: (source, shapes of the inputs[, integers])
FUNCTIONS = [
    ("identity", "lambda x: x", [(2, 3)]),
    ("scale", "lambda x: x / 127.5 - 1.0", [(1, 2, 2, 3)]),
    ("centre", "lambda x: (x - 128.) / 128.", [(2, 3)]),
    ("negative", "lambda x: -x * 2 + 1", [(2, 3)]),
    ("power", "lambda x: x ** 2 + 2 ** x", [(2, 3)]),
    ("reversed", "lambda x: 1 - 3 / (x + 10.)", [(2, 3)]),
    ("remainder", "lambda x: x % 3 + x // 2", [(2, 3)]),
    ("last", "lambda x: x[:, -1, :]", [(2, 3, 4)]),
    ("first_channel", "lambda x: x[..., 0]", [(2, 3, 4)]),
    ("channels", "lambda x: x[:, :, 1:3]", [(2, 3, 4)]),
    ("backwards", "lambda x: x[:, ::-1]", [(2, 3, 4)]),
    ("new_axis", "lambda x: x[:, None, :]", [(2, 3)]),
    ("half", "lambda x: x[1:]", [(3, 2)]),
    ("both_ends", "lambda x: x[:1] + x[-1:] + x[1:2] + x[:][0:1]", [(3, 2)]),
    ("mean", "lambda x: K.mean(x, axis=1)", [(2, 3, 4)]),
    ("mean_keep", "lambda x: K.mean(x, axis=[1, 2], keepdims=True)", [(2, 3, 4)]),
    ("sum", "lambda x: K.sum(x, axis=-1)", [(2, 3, 4)]),
    ("max", "lambda t: K.max(t, 1, False)", [(2, 3, 4)]),
    ("square", "lambda x: K.square(x)", [(2, 3)]),
    ("absolute", "lambda x: K.abs(x[0] - x[1])", [(2, 3), (2, 3)]),
    ("l2_normalize", "lambda x: K.l2_normalize(x, axis=1)", [(2, 3)]),
    ("expand", "lambda x: K.expand_dims(x, axis=-1)", [(2, 3)]),
    ("expand_default", "lambda x: K.expand_dims(x)", [(2, 3)]),
    ("squeeze", "lambda x: K.squeeze(x, 2)", [(2, 3, 1)]),
    ("permute", "lambda x: K.permute_dimensions(x, (0, 2, 1))", [(2, 3, 4)]),
    ("reshape", "lambda x: K.reshape(x, (-1, 2, 6))", [(2, 3, 4)]),
    ("reshape_open", "lambda x: K.reshape(x, (K.shape(x)[0], -1))", [(2, 3, 4)]),
    ("reshape_int", "lambda x: K.reshape(x, (-1,) + K.int_shape(x)[2:])", [(2, 3, 4)]),
    ("stack", "lambda x: K.stack([x, 2 * x], axis=1)", [(2, 3)]),
    ("concatenate", "lambda xs: K.concatenate(xs, axis=1)", [(2, 3), (2, 2)]),
    ("batch_dot", "lambda x: K.batch_dot(x[0], x[1], axes=[1, 1])", [(2, 3, 4), (2, 3)]),
    ("softmax", "lambda x: K.softmax(x)", [(2, 3)]),
    ("clip", "lambda x: K.clip(x, -1, 1)", [(2, 3)]),
    ("relu", "lambda x: K.relu(x) - K.relu(-x, alpha=0.5)", [(2, 3)]),
    ("sqrt", "lambda x: K.sqrt(x)", [(2, 3)]),
    ("tf_mean", "lambda x: tf.reduce_mean(x, axis=[1, 2])", [(2, 3, 4)]),
    ("tf_chain", "lambda x: tf.nn.relu(tf.math.sqrt(tf.abs(x)) - 1.0)", [(2, 3)]),
    ("tf_concat", "lambda x: tf.concat([x, tf.zeros_like(x)], axis=-1)", [(2, 3)]),
    ("tf_cast", "lambda x: tf.cast(x > 0, tf.float32)", [(2, 3)]),
    ("tf_expand", "lambda x: tf.expand_dims(x, -1)", [(2, 3)]),
    ("tf_transpose", "lambda x: tf.transpose(x, [0, 2, 1])", [(2, 3, 4)]),
    ("tf_split", "lambda x: tf.split(x, 2, axis=-1)[1]", [(2, 4)]),
    ("tf_tile", "lambda x: tf.tile(tf.expand_dims(x, 1), [1, 2, 1])", [(2, 3)]),
    ("tf_l2", "lambda x: tf.math.l2_normalize(x, axis=-1)", [(2, 3)]),
    ("depth_to_space", "lambda x: tf.nn.depth_to_space(x, 2)", [(1, 2, 3, 8)]),
    ("space_to_depth", "lambda x: tf.nn.space_to_depth(x, 2)", [(1, 4, 2, 3)]),
    ("old_resize", "lambda x: tf.image.resize_images(x, (5, 3))", [(1, 3, 4, 2)]),
    ("old_resize_aligned", "lambda x: tf.image.resize_images(x, (5, 3), align_corners=True)",
     [(1, 3, 4, 2)]),
    ("numbers", "lambda x: x * math.sqrt(2) + np.pi", [(2, 3)]),
    ("default", "lambda x, by=2.5, plus=1: x * by + plus", [(2, 3)]),
    ("closure", "(lambda k, n: lambda x: K.mean(x, axis=n, keepdims=k))(True, 2)", [(2, 3, 4)]),
    ("choice", "(lambda last: lambda x: x[:, -1] if last else x[:, 0])(True)", [(2, 3)]),
    ("no_choice", "(lambda last: lambda x: x[:, -1] if not last else x[:, 0])(True)", [(2, 3)]),
    ("static_choice", "lambda x: x * 2 if K.int_shape(x)[1] == 3 and x.shape[1] > 2 else x",
     [(2, 3)]),
    ("either", "(lambda n: lambda x: x * (n or 4))(0)", [(2, 3)]),
    ("one_of", "(lambda mode: lambda x: x + 1 if mode in ('a', 'b') else x)('b')", [(2, 3)]),
    ("nested_lists", "lambda x: K.concatenate([x[0], x[1][:, 0:1]], axis=-1)", [(2, 3), (2, 4)]),
    ("constant", "lambda x: x * K.constant([1, 2, 3]) + [0.5, 1, 2]", [(2, 3)]),
    ("comparison", "lambda x: K.cast(K.greater(x, 0.), 'float32') + K.cast(x <= 1, K.floatx())",
     [(2, 3)]),
]

# Functions of several statements.
DEFINITIONS = [
    ("euclidean", """
def euclidean_distance(vects):
    x, y = vects
    sum_square = K.sum(K.square(x - y), axis=1, keepdims=True)
    return K.sqrt(K.maximum(sum_square, K.epsilon()))
""", [(2, 3), (2, 3)]),
    ("documented", '''
def scaled(image):
    """Brings pixels into the range of -1 to 1."""
    image = image / 255.0
    image -= 0.5
    image *= 2
    return image
''', [(1, 2, 2, 3)]),
    ("imported", """
def resized(x):
    from keras.backend import tf as ktf
    import tensorflow as tf
    return ktf.image.resize_images(x, (2, 2)) + tf.reduce_max(x)
""", [(1, 4, 4, 1)]),
    ("branches", """
def pick(x, axis=None):
    if axis is None:
        axis = 1
    if axis == 2:
        return x
    shape = K.int_shape(x)
    return K.sum(x, axis=axis) / shape[axis]
""", [(2, 3, 4)]),
    ("several", """
def both(x):
    a = x[:, :2]
    b = x[:, 2:]
    a, b = b, a
    return a * K.sigmoid(b)
""", [(2, 4)]),
]

# Those of which the layer's own words say what is wrong.
REFUSED = [
    ("system", "lambda x: __import__('os').system('touch owned') or x"),
    ("os", "lambda x: os.system('touch owned')"),
    ("subprocess", "lambda x: (subprocess.call(['touch', 'owned']), x)[1]"),
    ("evaluated", "lambda x: eval('x + 1')"),
    ("opened", "lambda x: open('/etc/passwd').read()"),
    ("global", "lambda x: x / my_scale"),
    ("unknown_call", "lambda x: my_function(x)"),
    ("loop", "lambda x: K.sum([y for y in x], axis=0)"),
    ("inner", "lambda x: K.map_fn(lambda y: y + 1, x)"),
    ("random", "lambda x: x + K.random_normal(K.shape(x))"),
    ("branch", "lambda x: x if K.sum(x) > 0 else -x"),
    ("unknown_function", "lambda x: tf.linalg.svd(x)"),
    ("dunder", "lambda x: x.__class__.__mro__[1].__subclasses__()"),
    ("starred", "lambda x: K.concatenate(*x)"),
]

REFUSED_DEFINITIONS = [
    ("looping", """
def looping(x):
    for i in range(3):
        x = x + 1
    return x
"""),
    ("importing", """
def importing(x):
    import os
    os.system('touch owned')
    return x
"""),
    ("sampling", """
def sampling(args):
    z_mean, z_log_var = args
    epsilon = K.random_normal(shape=(K.shape(z_mean)[0], 2), mean=0., stddev=1.)
    return z_mean + K.exp(z_log_var / 2) * epsilon
"""),
    ("assigning", """
def assigning(x):
    x[0] = 1
    return x
"""),
]


def defined(source, scope):
    exec(source, scope)  # pylint: disable=exec-used
    return scope[source.split("def ")[1].split("(")[0]]


def functions(scope):
    for entry in FUNCTIONS + [(name, source, []) for name, source in REFUSED]:
        yield entry[0], eval(entry[1], scope)  # pylint: disable=eval-used
    for entry in DEFINITIONS + REFUSED_DEFINITIONS:
        yield entry[0], defined(entry[1], dict(scope))


def dump():
    result = {}
    for name, function in functions({}):
        code = marshal.dumps(function.__code__)
        closure = function.__closure__
        result[name] = {
            "code": base64.b64encode(code).decode("ascii"),
            "defaults": function.__defaults__ and list(function.__defaults__),
            "closure": closure and [cell.cell_contents for cell in closure],
        }
    print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "functions": result}))


def stand_ins():
    import math

    import numpy as np

    class Tensor(np.ndarray):
        pass

    def old_resize(x, size, align_corners=False):
        out = np.zeros((x.shape[0], size[0], size[1], x.shape[3]))
        steps = [(old - 1) / (new - 1) if align_corners and new > 1 else old / new
                 for old, new in zip(x.shape[1:3], size)]
        for i in range(size[0]):
            for j in range(size[1]):
                y0, x0 = int(i * steps[0]), int(j * steps[1])
                y1, x1 = min(y0 + 1, x.shape[1] - 1), min(x0 + 1, x.shape[2] - 1)
                fy, fx = i * steps[0] - y0, j * steps[1] - x0
                top = x[:, y0, x0] * (1 - fx) + x[:, y0, x1] * fx
                bottom = x[:, y1, x0] * (1 - fx) + x[:, y1, x1] * fx
                out[:, i, j] = top * (1 - fy) + bottom * fy
        return out

    def to_space(x, r):
        n, h, w, c = x.shape
        x = x.reshape(n, h, w, r, r, c // r // r).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h * r, w * r, c // r // r)

    def to_depth(x, r):
        n, h, w, c = x.shape
        x = x.reshape(n, h // r, r, w // r, r, c).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h // r, w // r, r * r * c)

    def axes(axis):
        return tuple(axis) if isinstance(axis, list) else axis

    class K:
        mean = staticmethod(lambda x, axis=None, keepdims=False:
                            np.mean(x, axis=axes(axis), keepdims=keepdims))
        sum = staticmethod(lambda x, axis=None, keepdims=False:
                           np.sum(x, axis=axes(axis), keepdims=keepdims))
        max = staticmethod(lambda x, axis=None, keepdims=False:
                           np.max(x, axis=axes(axis), keepdims=keepdims))
        square = staticmethod(np.square)
        abs = staticmethod(np.abs)
        l2_normalize = staticmethod(
            lambda x, axis: x / np.sqrt(np.maximum(np.sum(x * x, axis, keepdims=True), 1e-12)))
        expand_dims = staticmethod(lambda x, axis=-1: np.expand_dims(x, axis))
        squeeze = staticmethod(np.squeeze)
        permute_dimensions = staticmethod(np.transpose)
        reshape = staticmethod(np.reshape)
        shape = int_shape = staticmethod(np.shape)
        stack = staticmethod(np.stack)
        concatenate = staticmethod(lambda xs, axis=-1: np.concatenate(xs, axis))
        batch_dot = staticmethod(lambda x, y, axes: np.einsum("nij,ni->nj", x, y))
        softmax = staticmethod(
            lambda x: np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True))
        clip = staticmethod(np.clip)
        relu = staticmethod(lambda x, alpha=0.: np.where(x > 0, x, alpha * x))
        sqrt = staticmethod(lambda x: np.sqrt(np.maximum(x, 0)))
        maximum = staticmethod(np.maximum)
        epsilon = staticmethod(lambda: 1e-7)
        constant = staticmethod(np.array)
        cast = staticmethod(lambda x, dtype: np.array(x).astype(dtype))
        greater = staticmethod(np.greater)
        floatx = staticmethod(lambda: "float32")
        sigmoid = staticmethod(lambda x: 1 / (1 + np.exp(-x)))

    class tf:
        float32 = "float32"
        reduce_mean = staticmethod(K.mean)
        reduce_max = staticmethod(np.max)
        abs = staticmethod(np.abs)
        concat = staticmethod(np.concatenate)
        zeros_like = staticmethod(np.zeros_like)
        cast = staticmethod(K.cast)
        expand_dims = staticmethod(np.expand_dims)
        transpose = staticmethod(np.transpose)
        split = staticmethod(np.split)
        tile = staticmethod(np.tile)

        class math:
            sqrt = staticmethod(np.sqrt)
            l2_normalize = staticmethod(K.l2_normalize)

        class nn:
            relu = staticmethod(K.relu)
            depth_to_space = staticmethod(to_space)
            space_to_depth = staticmethod(to_depth)

        class image:
            resize_images = staticmethod(old_resize)

    # What `imported` imports.
    import types
    keras, backend = types.ModuleType("keras"), types.ModuleType("keras.backend")
    tensorflow = types.ModuleType("tensorflow")
    backend.tf, keras.backend = tf, backend
    tensorflow.reduce_max = np.max
    sys.modules.update({"keras": keras, "keras.backend": backend, "tensorflow": tensorflow})
    return {"K": K, "tf": tf, "np": np, "math": math}


def join(paths):
    import numpy as np

    dumps = [json.load(open(path)) for path in paths]
    shapes = {entry[0]: entry[2] for entry in FUNCTIONS + DEFINITIONS}
    sources = {entry[0]: entry[1].strip()
               for entry in FUNCTIONS + DEFINITIONS + REFUSED + REFUSED_DEFINITIONS}
    result = []
    for name, function in functions(stand_ins()):
        first = dumps[0]["functions"][name]
        entry = {"name": name, "source": sources[name], "defaults": first["defaults"],
                 "closure": first["closure"],
                 "codes": {made["version"]: made["functions"][name]["code"] for made in dumps}}
        if name in shapes:  # the others are refused
            inputs = []
            for i, shape in enumerate(shapes[name]):
                values = (np.arange(np.prod(shape)) * 7 % 11 - 5.0) / 2 + i
                inputs.append(values.reshape(shape))
            output = np.asarray(function(inputs if len(inputs) > 1 else inputs[0]), dtype=float)
            entry["inputs"] = [{"shape": x.shape, "values": x.ravel().tolist()} for x in inputs]
            entry["output"] = {"shape": output.shape, "values": output.ravel().tolist()}
        result.append(entry)
    print("[" + ",\n".join(json.dumps(entry) for entry in result) + "]")


if __name__ == "__main__":
    if sys.argv[1] == "dump":
        dump()
    else:
        join(sys.argv[2:])
