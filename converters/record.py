"""What a converted model keeps of the network it was made of, in its metadata, so that it can be given back to Keras.

Layers without nodes leave no trace in a graph, so nodes cannot tell. Beside the network stands a digest of it and of
the graph without its weights: training and transplants change weights alone, and whatever else changed shows.
"""

import hashlib
from collections.abc import Iterator

import onnx_ir as ir

from converters.errors import ConversionError, UserError
from converters.json_text import parse_json
from converters.keras_json import network_from_json
from converters.network import Network
from converters.port_layout import LAYOUT_KEY
from converters.roles import NETWORK_KEY, Role, initializer_roles

__all__ = [
    "CONVERT_AGAIN",
    "FOLDED_KEY",
    "RECORD_DIGEST_KEY",
    "RECORD_KEY",
    "forget_folded",
    "read_record",
    "record",
    "require_unchanged",
]

RECORD_KEY = "onnxgrid.network_json"
"""Model metadata: the network, as `converters.network_json` writes it."""
RECORD_DIGEST_KEY = "onnxgrid.network_digest"
"""Model metadata: SHA-256 of that text and of the graph but for the values of its parameters and statistics."""
FOLDED_KEY = "onnxgrid.folded"
"""Model metadata: "true" where normalizations were folded, so that the graph is no longer that of its network."""

A_CONVERTED_MODEL = "Give a model that onnxgrid convert wrote from a network."
CONVERT_AGAIN = (
    "Convert the network again, carry the weights over with onnxgrid transplant, and give back the model that results."
)


def record(model: ir.Model, network_json: str) -> None:
    """Change the metadata of a model that was just built: it keeps the network."""
    model.metadata_props[RECORD_KEY] = network_json
    model.metadata_props[RECORD_DIGEST_KEY] = _digest(model)


def forget_folded(model: ir.Model) -> None:
    """Change the metadata of a model whose normalizations were folded: it keeps no network, and says why."""
    for key in (RECORD_KEY, RECORD_DIGEST_KEY):
        model.metadata_props.pop(key, None)
    model.metadata_props[FOLDED_KEY] = "true"


def read_record(model: ir.Model, file: str) -> Network:
    """The network that a model was made of.

    Args:
        file: the model's, named in errors.

    Raises:
        ConversionError: if the model keeps none, or it is damaged.
    """
    metadata = model.metadata_props
    text = metadata.get(RECORD_KEY)
    if text is None:
        raise _no_record(metadata, file)
    place = f"{file}, metadata '{RECORD_KEY}'"
    try:
        return network_from_json(parse_json(text, place), place)
    except UserError as error:
        raise ConversionError(f"is damaged ({error.problem})", place=error.place, fix=CONVERT_AGAIN) from error


def require_unchanged(model: ir.Model, file: str) -> None:
    """Nothing, if nothing but weights changed since the model was converted.

    Raises:
        ConversionError: if something did.
    """
    if model.metadata_props.get(RECORD_DIGEST_KEY) != _digest(model):
        raise ConversionError(
            "its graph, or the network in its metadata, was changed after the conversion by more than new weights, "
            "so that they may no longer belong together",
            place=file,
            fix=CONVERT_AGAIN,
        )


def _no_record(metadata: dict[str, str], file: str) -> ConversionError:
    if FOLDED_KEY in metadata:
        return ConversionError(
            "its normalizations were folded into other layers, so that it is no longer the graph of its network",
            place=file,
            fix="Give the model that was converted without --fold-batchnorm.",
        )
    if NETWORK_KEY in metadata:
        return ConversionError(
            f"keeps no network in its metadata ('{RECORD_KEY}'): an earlier onnxgrid wrote it, or it was lost since",
            place=file,
            fix=CONVERT_AGAIN,
        )
    return ConversionError(
        "was not converted from a network of Keras, so there is none to give back", place=file, fix=A_CONVERTED_MODEL
    )


def _digest(model: ir.Model) -> str:
    digest = hashlib.sha256()
    for part in (model.metadata_props.get(RECORD_KEY, "").encode(), *_parts(model)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def _parts(model: ir.Model) -> Iterator[bytes]:
    """All of a graph that says what it computes, but for the values of parameters and statistics.

    Initializers and nodes by name, as their order says nothing.
    """
    graph, roles = model.graph, initializer_roles(model)
    yield repr((sorted(model.opset_imports.items()), sorted(map(str, model.functions)))).encode()
    for value in graph.inputs:
        sizes = () if value.shape is None else value.shape
        yield repr((value.name, [size if isinstance(size, int) else None for size in sizes])).encode()
    for value in (*graph.inputs, *graph.outputs):
        if LAYOUT_KEY in value.metadata_props:  # models of foreign tools, and graphs built by hand, say none
            yield repr((value.name, value.metadata_props[LAYOUT_KEY])).encode()
    yield repr([value.name for value in graph.outputs]).encode()
    for name, role in sorted(roles.items()):
        tensor = graph.initializers[name].const_value
        assert tensor is not None
        yield repr((name, tensor.dtype.name, tuple(tensor.shape.numpy()))).encode()
        if role.kind is Role.CONSTANT:
            yield tensor.tobytes()
    for node in sorted(graph, key=lambda node: [str(output.name) for output in node.outputs]):
        proto = ir.serde.serialize_node(node)
        attributes = sorted(proto.attribute, key=lambda attribute: attribute.name)
        yield repr((node.domain, node.op_type, list(proto.input), list(proto.output))).encode()
        yield from (attribute.SerializeToString(deterministic=True) for attribute in attributes)
