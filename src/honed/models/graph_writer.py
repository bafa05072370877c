"""Writes an ONNX file node by node: no exporter, no torch.

Large constants go into a second file, which a runtime maps instead of copying.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

OPSET = 20
"""The first with Gelu as one operator."""

IR_VERSION = 10
"""What goes with opset 20 and is read by every runtime that the package allows."""

PAGE = 4096
"""Weights of this size and more go into the second file, each at a multiple of it, so that it can be mapped."""

WEIGHTS_SUFFIX = ".weights"

OUTPUT = "embedding"
"""Name of the one output [n, dimension] float32."""

Inputs = Mapping[str, tuple[DTypeLike, tuple[str | int, ...]]]
"""Name -> type and shape; a word in a shape is a free extent."""


class GraphWriter:
    """Nodes and constants in the making. Every method returns the name of the value that it makes."""

    def __init__(self, weights: IO[bytes]) -> None:
        """Begin a graph whose large constants go to a file that lies beside it and stays open meanwhile."""
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._weights = weights
        self._ints: dict[tuple[int, ...], str] = {}

    def model(self, inputs: Inputs, dimension: int) -> bytes:
        """The finished ONNX file: these inputs in this order, and `OUTPUT`."""
        from onnx import TensorProto, helper

        given = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), list(shape))
            for name, (kind, shape) in inputs.items()
        ]
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", dimension])
        graph = helper.make_graph(self.nodes, "encoder", given, [output], self.constants)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="honed")
        return bytes(model.SerializeToString())

    def node(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """One operator with one output."""
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def floats(self, value: str) -> str:
        """A value of whole numbers as float32."""
        from onnx import TensorProto

        return self.node("Cast", value, to=TensorProto.FLOAT)

    def split(self, value: str, parts: int) -> list[str]:
        """Equal parts along the last axis."""
        from onnx import helper

        names = [f"{value}_part_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node("Split", [value], names, name=f"split_{value}", axis=-1, num_outputs=parts))
        return names

    def constant(self, value: NDArray[Any], name: str) -> str:
        """A small constant inside of the graph, a large one in the file of weights."""
        from onnx import TensorProto, external_data_helper, numpy_helper

        tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
        if value.nbytes >= PAGE:
            data = tensor.raw_data
            self._weights.write(bytes(-self._weights.tell() % PAGE))
            external_data_helper.set_external_data(
                tensor, Path(self._weights.name).name, offset=self._weights.tell(), length=len(data)
            )
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            self._weights.write(data)
        self.constants.append(tensor)
        return name

    def ints(self, *values: int) -> str:
        """A constant list of whole numbers, made once."""
        if values not in self._ints:
            self._ints[values] = self.constant(np.array(values, np.int64), f"ints_{len(self._ints)}")
        return self._ints[values]

    def number(self, value: float) -> str:
        """A constant number."""
        return self.constant(np.array(value, np.float32), f"number_{len(self.constants)}")
