"""A model is one file: tensors that stand elsewhere refuse it, wherever in the graph they are, in every reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.errors import BundleError, DataError
from mien.training.from_bundle import networks_of
from mien.vision.bundles import bundle_names, newest_own_bundle, packaged_bundle
from mien.vision.model_file import has_external_data, read_model
from mien.vision.predictor import Predictor

BUNDLE = packaged_bundle("mien-xs")


def with_external_data(place: Path) -> Path:
    """Return a whole bundle whose weights stand in ``weights.bin`` in the working folder."""
    model = onnx.load(BUNDLE)
    target = place / "m.onnx"
    onnx.save(model, target, save_as_external_data=True, location="weights.bin", size_threshold=64)
    return target


def test_a_bundle_with_its_weights_in_the_working_folder_is_refused(here: Path) -> None:
    target = with_external_data(here)
    assert (here / "weights.bin").stat().st_size > 100_000
    # so ONNX Runtime alone would take the file beside it, although it was given bytes
    plainly = ort.SessionOptions()
    plainly.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # some optimisations fail on such a file
    session = ort.InferenceSession(target.read_bytes(), plainly, providers=["CPUExecutionProvider"])
    assert session.run(["probabilities"], {"faces": np.zeros((1, 1, 48, 48), np.uint8)})[0].shape == (1, 7)
    for read in (Predictor, read_model, lambda path: networks_of(path, np.zeros((4, 48, 48), np.uint8))):
        with pytest.raises(BundleError, match=r"m\.onnx uses external data"):
            read(target)


def external(name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def model_of(graph: onnx.GraphProto, **more: object) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **more)


def graph_of(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [4]) for end in ("x", "y")]
    return helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(tensors))


def hidden(where: str) -> onnx.ModelProto:
    """Return a model with one external tensor at a place in the tree of messages."""
    inside = graph_of(helper.make_node("Constant", [], ["y"], value=external()))
    if where == "initializer":
        return model_of(graph_of(tensors=(numpy_helper.from_array(np.ones(4, np.float32), "a"), external())))
    if where == "attribute":
        return model_of(inside)
    if where == "list of tensors":
        node = helper.make_node("Thing", ["x"], ["y"])
        node.attribute.add(name="t", type=onnx.AttributeProto.TENSORS).tensors.append(external())
        return model_of(graph_of(node))
    if where == "subgraph":
        return model_of(graph_of(helper.make_node("If", ["x"], ["y"], then_branch=graph_of(), else_branch=inside)))
    if where == "list of graphs":
        node = helper.make_node("Thing", ["x"], ["y"])
        node.attribute.add(name="g", type=onnx.AttributeProto.GRAPHS).graphs.append(inside)
        return model_of(graph_of(node))
    if where == "function":
        function = helper.make_function("d", "F", ["x"], ["y"], list(inside.node), [helper.make_opsetid("", 17)])
        return model_of(graph_of(helper.make_node("F", ["x"], ["y"], domain="d")), functions=[function])
    if where == "default of a function":
        function = helper.make_function("d", "F", ["x"], ["y"], [], [helper.make_opsetid("", 17)])
        function.attribute_proto.append(helper.make_attribute("t", external()))
        return model_of(graph_of(), functions=[function])
    if where in ("sparse values", "sparse indices"):
        plain = helper.make_tensor("i", TensorProto.INT64, [1], [0])
        sparse = onnx.SparseTensorProto(dims=[4])
        sparse.values.CopyFrom(external() if where == "sparse values" else plain)
        sparse.indices.CopyFrom(plain if where == "sparse values" else external())
        graph = graph_of()
        graph.sparse_initializer.append(sparse)
        return model_of(graph)
    if where == "sparse attribute":
        sparse = onnx.SparseTensorProto(dims=[4])
        sparse.values.CopyFrom(external())
        node = helper.make_node("Constant", [], ["y"])
        node.attribute.add(name="sparse_value", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.CopyFrom(sparse)
        return model_of(graph_of(node))
    assert where == "training"
    model = model_of(graph_of())
    model.training_info.add().algorithm.CopyFrom(inside)
    return model


PLACES = (
    *("initializer", "attribute", "list of tensors", "subgraph", "list of graphs", "function", "default of a function"),
    *("sparse values", "sparse indices", "sparse attribute", "training"),
)


@pytest.mark.parametrize("where", PLACES)
def test_external_data_is_found_wherever_it_stands(where: str) -> None:
    model = hidden(where)
    assert has_external_data(model.SerializeToString())
    assert has_external_data(b"\xfa\x3f\x01x" + model.SerializeToString())  # behind a field that nobody knows


def test_memory_as_external_data_and_either_of_its_two_signs_alone_are_found() -> None:
    tensor = external()
    tensor.external_data[0].value = "*/_ORT_MEM_ADDR_/*"
    assert has_external_data(model_of(graph_of(tensors=(tensor,))).SerializeToString())
    tensor.ClearField("data_location")
    assert has_external_data(model_of(graph_of(tensors=(tensor,))).SerializeToString())
    bare = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    assert has_external_data(model_of(graph_of(tensors=(bare,))).SerializeToString())
    bare.data_location = TensorProto.DEFAULT
    assert not has_external_data(model_of(graph_of(tensors=(bare,))).SerializeToString())


def test_a_graph_in_two_parts_is_looked_through_as_it_is_put_together() -> None:
    whole = model_of(graph_of())
    more = onnx.ModelProto(graph=onnx.GraphProto(initializer=[external()]))
    model = onnx.load_from_string(whole.SerializeToString() + more.SerializeToString())
    assert model.graph.initializer[0].data_location == TensorProto.EXTERNAL
    assert has_external_data(whole.SerializeToString() + more.SerializeToString())


def test_deep_graphs_are_no_crash() -> None:
    data = b""
    for _ in range(50_000):  # a graph in an attribute in a node in a graph
        size = len(data)
        varint = bytearray()
        while size >= 128:
            varint.append(size & 127 | 128)
            size >>= 7
        data = b"\x0a" + bytes([*varint, size]) + data
        if len(data) > 200_000:
            break
    assert not has_external_data(data)


@pytest.mark.parametrize("data", [b"\x3a\x05ab", b"\x3b", b"\xff" * 12, b"\x80", b"\x07"])
def test_what_is_no_message_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"m\.onnx"):
        Predictor(tmp_path / "m.onnx")


def test_models_of_another_format_pipes_and_missing_files_are_refused(tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(BUNDLE.read_bytes(), options, providers=["CPUExecutionProvider"])
    with pytest.raises(BundleError):
        Predictor(tmp_path / "m.ort")
    with pytest.raises(DataError, match=r"none\.onnx"):
        Predictor(tmp_path / "none.onnx")
    with pytest.raises(DataError, match="/dev/zero"):
        Predictor(Path("/dev/zero"))


def test_the_packages_own_bundles_are_whole() -> None:
    assert bundle_names()
    for name in bundle_names():
        assert not has_external_data(packaged_bundle(name).read_bytes())


def test_a_bundle_for_one_face_at_a_time_or_with_other_answers_is_refused(tmp_path: Path) -> None:
    model = onnx.load(BUNDLE)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (tmp_path / "one.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"one\.onnx"):
        Predictor(tmp_path / "one.onnx")
    model = onnx.load(BUNDLE)
    extra = helper.make_node("ReduceMean", ["embedding"], ["flat"], keepdims=0)
    model.graph.node.append(extra)
    for output in model.graph.output:
        if output.name == "embedding":
            output.CopyFrom(helper.make_tensor_value_info("flat", TensorProto.FLOAT, []))

    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError):
        Predictor(tmp_path / "other.onnx")


def test_a_link_to_a_missing_model_hides_no_other(tmp_path: Path) -> None:
    for ending in ("onnx", "json"):
        (tmp_path / f"own.{ending}").write_text("{}")
    (tmp_path / "b.onnx").symlink_to(tmp_path / "gone.onnx")
    (tmp_path / "b.json").write_text("{}")
    assert newest_own_bundle(tmp_path) == tmp_path / "own.onnx"
