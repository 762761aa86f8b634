"""Models that serve as layers of a model, put in the place where they stand: what is left is one flat network.

A layer `conv` of a model `encoder` becomes the layer `encoder.conv`, so that its kernel is `encoder.conv.weight`. A
model that is called several times is a shared layer: each of its layers has as many calls, its parameters once. Where
a call gives the mask of an input too, as Keras 3 writes it, a layer that passes on both stands for that input.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from converters.errors import ConversionError, joined
from converters.keys import Keys
from converters.layers.core import SHAPE_KEYS, InputLayerConfig
from converters.layers.masks import MASK, mask_operands
from converters.network import Call, InnerInput, Layer, Network, Operand, Ref
from converters.notices import Notices
from converters.stated_shapes import read_stated_shape
from converters.training_calls import handed_on

__all__ = ["MASKED_INPUT", "inline"]

MASKED_INPUT = "Identity"
"""The class of what stands for a masked input."""

MAX_CALLS = 100_000
"""Models that call a model twice, which calls a model twice..., grow exponentially from a file of a few kB."""


def inline(network: Network) -> Network:
    """The network with every model that serves as a layer replaced by the layers it consists of.

    Raises:
        ConversionError: if a model is called with more or fewer tensors than it has inputs, if a call or an output
            is asked for that it does not have, or if there are too many calls.
    """
    if all(layer.inner is None for layer in network.layers):
        return network
    return _Inliner(network).inlined()


@dataclass(frozen=True)
class _Given:
    """What a call of a model is given: a tensor for each input, and the masks of those that have one in the call."""

    tensors: tuple[Ref, ...]
    masks: tuple[Ref | None, ...]

    @classmethod
    def of(cls, call: Call) -> "_Given":
        operands = mask_operands(call)
        indices = {operand.index for operand in operands if operand is not None}
        tensors = tuple(ref for index, ref in enumerate(call.inputs) if index not in indices)
        masks = [None if operand is None else call.inputs[operand.index] for operand in operands]
        return cls(tensors, (*masks, *(None,) * len(tensors))[: len(tensors)])


class _Inliner:
    """References in the frame of the network, where models are layers, to those of the flat one."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.models = {layer.name: layer for layer in network.layers if layer.inner is not None}
        self.inner = {layer.name: inline(layer.inner) for layer in network.layers if layer.inner is not None}
        self.given = {name: [_Given.of(call) for call in layer.calls] for name, layer in self.models.items()}
        self.offsets = _call_offsets(network, self.models)
        self.positions = {
            name: {ref.layer: position for position, ref in enumerate(inner.inputs)}
            for name, inner in self.inner.items()
        }
        self.calls = {
            name: {layer.name: len(layer.calls) for layer in inner.layers} for name, inner in self.inner.items()
        }

    def inlined(self) -> Network:
        errors = [error for model in self.models.values() for error in self._wrong_ends(model)]
        if errors:
            raise joined(errors, self.network.place)
        self._require_few_calls()
        layers = tuple(flat for layer in self.network.layers for flat in self._flat(layer))
        outputs = tuple(map(self._resolved, self.network.outputs))
        return replace(self.network, layers=layers, outputs=outputs, inner_inputs=tuple(self._inner_inputs()))

    def _inner_inputs(self) -> Iterator[InnerInput]:
        """The inputs of all models within that say a shape, and what their calls give them."""
        for name, model in self.models.items():
            parts = {part.name: part for part in self.inner[name].layers}
            stated = {part: read_stated_shape(parts[part].config) for part in self.positions[name] if part in parts}
            for number, given in enumerate(self.given[name]):
                for part, shape in stated.items():
                    if shape is not None:
                        tensor = self._resolved(given.tensors[self.positions[name][part]])
                        yield InnerInput(f"{name}.{part}", tensor, shape, model.time_distributed)
                for inner in self.inner[name].inner_inputs:
                    yield replace(
                        inner,
                        name=f"{name}.{inner.name}",
                        given=self._outward(name, number, inner.given),
                        time_distributed=inner.time_distributed + model.time_distributed,
                    )

    def _wrong_ends(self, model: Layer) -> Iterator[ConversionError]:
        """An error for each call with more or fewer tensors than a model has inputs, and for each shape that is none.

        What else an input's shape says is held against what is given once that is computed (`stated_shapes`).
        """
        expected = len(self.positions[model.name])
        for part in self.inner[model.name].layers:
            if part.name in self.positions[model.name] and part.config.only(*SHAPE_KEYS):
                name = f"{model.name}.{part.name}"
                try:
                    InputLayerConfig.read(Keys(part.config, layer=name, class_name="InputLayer", notices=Notices()))
                except ConversionError as error:
                    yield error
        for given in self.given[model.name]:
            if len(given.tensors) != expected:
                problem = f"is called with {len(given.tensors)} tensors, and has {expected} inputs"
                yield model.error(problem, 'Change its "inbound_nodes".')

    def _require_few_calls(self) -> None:
        within = {name: sum(calls.values()) for name, calls in self.calls.items()}
        total = sum(len(layer.calls) * within.get(layer.name, 1) for layer in self.network.layers)
        if total > MAX_CALLS:
            raise ConversionError(
                f"holds {total:,} calls of layers once the models within it are written out, of at most {MAX_CALLS:,}",
                place=self.network.place,
                fix="Call the models within it less often.",
            )

    def _flat(self, layer: Layer) -> Iterator[Layer]:
        if layer.name not in self.models:
            yield replace(layer, calls=tuple(self._moved(call) for call in layer.calls))
            return
        inner = self.inner[layer.name]
        for part in inner.layers:
            position = self.positions[layer.name].get(part.name)
            if position is None:
                calls = [
                    replace(
                        handed_on(call, outer), inputs=tuple(self._outward(layer.name, number, r) for r in call.inputs)
                    )
                    for number, outer in enumerate(layer.calls)
                    for call in part.calls
                ]
            elif self._is_masked(layer.name, position):
                calls = [self._with_mask(given, position) for given in self.given[layer.name]]
                part = replace(part, class_name=MASKED_INPUT, config=part.config.only())
            else:
                continue
            yield replace(
                part,
                name=f"{layer.name}.{part.name}",
                calls=tuple(calls),
                time_distributed=part.time_distributed + layer.time_distributed,
                in_distributed_model=part.in_distributed_model or layer.time_distributed > 0,
            )

    def _is_masked(self, model: str, position: int) -> bool:
        """Whether a call of a model gives a mask for this input."""
        return any(given.masks[position] is not None for given in self.given[model])

    def _with_mask(self, given: _Given, position: int) -> Call:
        """The call of what stands for a masked input of a model."""
        x, mask = self._resolved(given.tensors[position]), given.masks[position]
        if mask is None:
            return Call((x,), (Operand(0),))
        return Call((x, self._resolved(mask)), (Operand(0),), {MASK: Operand(1)})

    def _moved(self, call: Call) -> Call:
        return replace(call, inputs=tuple(map(self._resolved, call.inputs)))

    def _outward(self, model: str, number: int, ref: Ref) -> Ref:
        """A reference within call `number` of a model, in the flat frame."""
        position = self.positions[model].get(ref.layer)
        if position is not None and self._is_masked(model, position):
            return replace(ref, layer=f"{model}.{ref.layer}", call=number)
        if position is not None:
            return self._resolved(self.given[model][number].tensors[position])
        return replace(ref, layer=f"{model}.{ref.layer}", call=number * self.calls[model].get(ref.layer, 0) + ref.call)

    def _resolved(self, ref: Ref) -> Ref:
        """A reference of the network, in the flat frame: outputs of models are outputs of layers in them."""
        passed: list[Ref] = []
        while ref.layer in self.models:
            if ref in passed:
                raise ConversionError(
                    f"model '{ref.layer}' waits for itself",
                    place=self.models[ref.layer].place,
                    fix='Break the circle: change its "inbound_nodes".',
                )
            passed.append(ref)
            model, number = ref.layer, ref.call - self.offsets[ref.layer, ref.listed]
            self._require_output(ref, number)
            output = self.inner[model].outputs[ref.tensor]
            position = self.positions[model].get(output.layer)
            if position is None or self._is_masked(model, position):
                return replace(self._outward(model, number, output), place=ref.place)
            ref = self.given[model][number].tensors[position]
        return ref

    def _require_output(self, ref: Ref, number: int) -> None:
        calls, outputs = len(self.models[ref.layer].calls), len(self.inner[ref.layer].outputs)
        if not 0 <= number < calls:
            first = self.offsets[ref.layer, ref.listed]
            raise ConversionError(
                f"asks for call {ref.call} of model '{ref.layer}', which has {calls} (the first is {first})",
                place=ref.place,
                fix="Write the number of a call that the model has.",
            )
        if ref.tensor >= outputs:
            raise ConversionError(
                f"asks for output {ref.tensor} of model '{ref.layer}', which has {outputs} (the first is 0)",
                place=ref.place,
                fix="Write the number of an output that the model has.",
            )


def _call_offsets(network: Network, models: dict[str, Layer]) -> dict[tuple[str, bool], int]:
    """The number of the first call of each model, by its name and by how references to it are written.

    Keras 2 counts the making of a model as its call 0, so that its first use is call 1; so does Keras 3 where it lists
    a Functional model's inputs and outputs, but not in tensors, and not for a Sequential. What is in the file decides
    where it can: a last call whose number is that of the calls cannot count from 0, and a call 0 must.
    """
    used: dict[tuple[str, bool], set[int]] = {(name, listed): set() for name in models for listed in (True, False)}
    for ref in (*network.outputs, *(ref for layer in network.layers for call in layer.calls for ref in call.inputs)):
        if ref.layer in models:
            used[ref.layer, ref.listed].add(ref.call)
    return {key: _first_call(models[key[0]], key[1], numbers) for key, numbers in used.items()}


def _first_call(model: Layer, listed: bool, numbers: set[int]) -> int:
    if 0 in numbers:
        return 0
    if len(model.calls) in numbers:
        return 1
    return int(listed and model.class_name != "Sequential")
