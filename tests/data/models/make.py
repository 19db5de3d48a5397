"""Writes the small ONNX models that the tests run. Needs `onnx` and `numpy`; their output is committed.

Every model takes `diffraction` [batch, C, N, N] and gives `amplitude` and `phase` of the same shape, unless
it is one of the broken ones.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
N = 16


def constant(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype=dtype), name)


def model(file, nodes, constants, channels=1, batch="batch", props=True, names=("diffraction", "amplitude", "phase"),
          **overrides):
    shape = [batch, channels, N, N]
    source, *outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in names]
    graph = helper.make_graph(nodes, file, [source], outputs, constants)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if props:
        values = {"n": N, "gridsize": {1: 1, 4: 2}[channels], "channels": channels, "normalisation": "rms",
                  "architecture": file} | overrides
        helper.set_model_props(built, {f"phasegraph.{k}": str(v) for k, v in values.items()})
    onnx.checker.check_model(built)
    onnx.save(built, HERE / f"{file}.onnx")


def affine(names=("diffraction", "amplitude", "phase")):
    """amplitude = 0.5·x + 1, phase = x·(channel + 1)/8: closed forms, and different for every channel."""
    source, amplitude, phase = names
    return [
        helper.make_node("Mul", [source, "half"], ["halved"]),
        helper.make_node("Add", ["halved", "one"], [amplitude]),
        helper.make_node("Mul", [source, "slope"], [phase]),
    ]


def affine_constants(channels):
    slope = (np.arange(channels) + 1).reshape(1, channels, 1, 1) / 8
    return [constant("half", 0.5), constant("one", 1.0), constant("slope", slope)]


def conv(source, target, cin, cout, rng, constants):
    scale = np.sqrt(2 / (9 * cin))
    constants += [constant(f"{target}_w", rng.normal(0, scale, (cout, cin, 3, 3))),
                  constant(f"{target}_b", rng.normal(0, 0.1, cout))]
    return helper.make_node("Conv", [source, f"{target}_w", f"{target}_b"], [target], pads=[1] * 4)


def unet(channels, width):
    """Conv-ReLU, max-pool, Conv-ReLU, nearest upsample, and one head each: the operators of the real networks."""
    rng = np.random.default_rng(5)
    constants = [constant("scales", [1, 1, 2, 2]), constant("pi", np.pi)]
    nodes = [
        conv("diffraction", "c1", channels, width, rng, constants),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("p1", "c2", width, 2 * width, rng, constants),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("Resize", ["r2", "", "scales"], ["u2"], mode="nearest",
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        conv("u2", "c3", 2 * width, channels, rng, constants),
        helper.make_node("Sigmoid", ["c3"], ["amplitude"]),
        conv("u2", "c4", 2 * width, channels, rng, constants),
        helper.make_node("Tanh", ["c4"], ["t4"]),
        helper.make_node("Mul", ["t4", "pi"], ["phase"]),
    ]
    return nodes, constants


model("affine1", affine(), affine_constants(1))
model("affine4", affine(), affine_constants(4), channels=4)
model("plain1", affine(), affine_constants(1), normalisation="none")
model("unet1", *unet(1, 6), channels=1)
model("unet4", *unet(4, 8), channels=4)

# Asks for 2^36 copies of every image, 64 TiB each, and then needs only their maximum.
model("greedy", [
    helper.make_node("Mul", ["diffraction", "zero"], ["zeros"]),
    helper.make_node("Expand", ["zeros", "shape"], ["huge"]),
    helper.make_node("ReduceMax", ["huge"], ["nothing"], keepdims=0),
    helper.make_node("Add", ["diffraction", "nothing"], ["amplitude"]),
    helper.make_node("Identity", ["diffraction"], ["phase"]),
], [constant("zero", 0.0), constant("shape", [1, 1 << 36, N, N], np.int64)])

# phase = log(x) is NaN or -inf wherever no photon was counted; amplitude = 0·x is blank.
model("nan", [
    helper.make_node("Identity", ["diffraction"], ["amplitude"]),
    helper.make_node("Log", ["diffraction"], ["phase"]),
], [])
model("blank", [
    helper.make_node("Mul", ["diffraction", "zero"], ["amplitude"]),
    helper.make_node("Identity", ["diffraction"], ["phase"]),
], [constant("zero", 0.0)])

# Keeps the first group of a batch and drops the others; the graph does not state that shape.
model("collapse", [
    helper.make_node("Compress", ["diffraction", "first"], ["amplitude"], axis=0),
    helper.make_node("Identity", ["diffraction"], ["phase"]),
], [constant("first", [True], np.bool_)])

# Outside the contract.
model("no_metadata", affine(), affine_constants(1), props=False)
model("fixed_batch", affine(), affine_constants(1), batch=8)
model("wrong_side", affine(), affine_constants(1), n=32)
model("wrong_normalisation", affine(), affine_constants(1), normalisation="l2")
names = ("x", "amplitude", "phase")
model("wrong_input", affine(names), affine_constants(1), names=names)
names = ("diffraction", "amplitude", "angle")
model("wrong_output", affine(names), affine_constants(1), names=names)

# Trained elsewhere, as TensorFlow lays it out: intensities [batch, row, column, 1] in, [batch, row, column, 2] out,
# amplitude first, phase in units of π. A tensor inside has the name of one of the contract's.
shape = ["n", N, N]
graph = helper.make_graph(
    [
        helper.make_node("Mul", ["img", "half"], ["amplitude"]),
        helper.make_node("Mul", ["img", "eighth"], ["angle"]),
        helper.make_node("Concat", ["amplitude", "angle"], ["both"], axis=3),
    ],
    "foreign",
    [helper.make_tensor_value_info("img", TensorProto.FLOAT, [*shape, 1])],
    [helper.make_tensor_value_info("both", TensorProto.FLOAT, [*shape, 2])],
    [constant("half", 0.5), constant("eighth", 0.125)],
)
foreign = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(foreign)
onnx.save(foreign, HERE / "foreign.onnx")
