"""How long each candidate of a site takes: a graph of nothing else is run, with random numbers of the site's shapes."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import onnx_ir as ir
import torch

from onnxgrid.engines import aten_bridge
from onnxgrid.engines.kernel_choice.cache import KernelTimes
from onnxgrid.engines.kernel_choice.calmness import KernelTime, machine_is_calm, timed
from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.plan import kernel_node, to_last
from onnxgrid.engines.kernel_choice.site import NATIVE, Candidate, Site
from onnxgrid.engines.ort_session import bind_input, open_session
from onnxgrid.engines.training_mode import ATEN_DOMAIN

__all__ = ["MeasuredTimes", "fastest_times"]

HOPELESS = 3.0
"""A candidate whose first run took this many times as long as the fastest is not run again."""
BEATEN = 1.3
"""And one whose best run took this many times as long is out of the next rounds."""
ROUNDS, SECONDS = 4, 0.1
"""Each is run this often, less often where a round takes long: the fastest run counts."""
FIRST_RUN_S = 0.005
"""What a first run may cost more than others (kernels are generated, memory is fetched): no candidate is hopeless for
that."""
ENOUGH_ELEMENTS = 2**20
"""Of the largest activation: a batch beyond that is made smaller, since time goes with the number of samples."""


class MeasuredTimes:
    """Times of a training graph's sites on a device: read from a file, or measured and written there.

    What was measured while the machine was busy is measured again, once in a run, if the machine is calm now. What then
    waits too does so by itself, if the machine is calm before and after: its time by the clock stands.
    """

    def __init__(self, graph: TrainingNodes, times: KernelTimes, device: torch.device) -> None:
        """`graph` gives the nodes of native candidates, shapes, and small constants."""
        self.graph, self._times, self._device = graph, times, device
        self._measured: set[tuple[str, str]] = set()
        self._calm: bool | None = None

    def of(self, site: str) -> dict[str, KernelTime]:
        """{candidate: time} for a site."""
        return self._times.of(site)

    def complete(self, sites: Iterable[Site]) -> None:
        """Measure those candidates of these sites that are to be measured."""
        new: dict[str, dict[str, KernelTime]] = {}
        for site in sites:
            due = [candidate for candidate in site.candidates if self._is_due(site.key, candidate.name)]
            if due:
                new.setdefault(site.key, {}).update(self._measure(site, due))
                self._measured.update((site.key, candidate.name) for candidate in due)
        if new:
            self._times.add(new)

    def of_transpose(self, shape: Sequence[int], permutation: Sequence[int]) -> KernelTime:
        """The time of a Transpose."""
        key = f"Transpose {'x'.join(map(str, shape))} {list(permutation)}"
        if self._is_due(key, NATIVE):
            fewer = _enough_samples(shape)
            x = torch.zeros([fewer, *shape[1:]], device=self._device)
            run = _Run(_transpose_model(x.shape, permutation), {"x": x})
            self._times.add({key: _scaled(self._timed({NATIVE: run}), shape[0] / fewer)})
            self._measured.add((key, NATIVE))
        return self.of(key)[NATIVE]

    def _is_due(self, site: str, candidate: str) -> bool:
        if (site, candidate) in self._measured:
            return False
        known = self._times.of(site).get(candidate)
        return known is None or (known.busy and self._is_calm())

    def _is_calm(self) -> bool:
        """Whether the machine is calm, as it was when this was first asked."""
        if self._calm is None:
            self._calm = machine_is_calm(self._device)
        return self._calm

    def _is_calm_still(self) -> bool:
        """Whether the machine was calm when this was first asked, and is now."""
        return self._is_calm() and machine_is_calm(self._device)

    def _measure(self, site: Site, candidates: Sequence[Candidate]) -> dict[str, KernelTime]:
        """{candidate: time of its fastest run}, all in turns, so that a busy machine slows all alike."""
        site, share = _with_smaller_batch(site)
        generator = torch.Generator().manual_seed(0)
        tensors = {
            name: torch.randn(shape, generator=generator).to(self._device) for name, shape in site.shapes.items()
        }
        runs, moved_once = {}, dict[str, torch.Tensor]()
        for candidate in candidates:
            inputs = dict(tensors)
            for name in _moved(candidate) & tensors.keys():
                if name not in moved_once:
                    moved_once[name] = tensors[name].permute(to_last(tensors[name].dim())).contiguous()
                inputs[name] = moved_once[name]
            runs[candidate.name] = _Run(_site_model(site, candidate, self.graph), inputs)
        return _scaled(self._timed(runs), 1 / share)

    def _timed(self, runs: Mapping[str, "_Run"]) -> dict[str, KernelTime]:
        """{candidate: time of its fastest run}; those that wait on a calm machine are run again, by the clock."""
        times = fastest_times({name: run.time for name, run in runs.items()})
        waiting = {name: run for name, run in runs.items() if times[name].busy}
        if waiting and self._is_calm_still():
            again = fastest_times({name: run.time_by_clock for name, run in waiting.items()})
            if self._is_calm_still():
                times |= again
        return times


def _transpose_model(shape: Sequence[int], permutation: Sequence[int]) -> ir.Model:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
    node = ir.node("Transpose", [x], {"perm": list(permutation)})
    node.outputs[0].name, node.outputs[0].type = "y", x.type
    graph = ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 17}, name="transpose")
    return ir.Model(graph, ir_version=9)


Size = TypeVar("Size", int, int | None)


class _Run:
    """A model with its inputs bound, on the device that they are on."""

    def __init__(self, model: ir.Model, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors  # bound by address
        self._device = next(iter(tensors.values())).device
        self._session = open_session(ir.to_proto(model).SerializeToString(), self._device)
        self._binding = self._session.io_binding()
        for value in self._session.get_inputs():
            bind_input(self._binding, value.name, tensors[value.name])
        for value in self._session.get_outputs():
            self._binding.bind_output(value.name, self._device.type, self._device.index or 0)

    def time(self) -> KernelTime:
        """The time of one run."""
        return timed(self._run, self._device)

    def time_by_clock(self) -> KernelTime:
        """The time of one run on a machine that is known to be calm."""
        return timed(self._run, self._device, by_clock=True)

    def _run(self) -> None:
        with aten_bridge.failures_raised():
            self._session.run_with_iobinding(self._binding)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def fastest_times(
    runs: Mapping[str, Callable[[], KernelTime]], clock: Callable[[], float] = time.perf_counter
) -> dict[str, KernelTime]:
    """The time of each candidate's fastest run, the first aside, given functions that run one and tell its time.

    A run of a calm machine counts more than a faster one that was kept waiting, also for what the others have to beat.
    """
    best = {name: run() for name, run in runs.items()}
    fastest = min(best.values()).milliseconds
    hopeful = [name for name, known in best.items() if known.milliseconds < HOPELESS * fastest + 1e3 * FIRST_RUN_S]
    if len(hopeful) > 1 or len(runs) == 1:
        began, rounds = clock(), 0
        while clock() - began < SECONDS and rounds < ROUNDS:
            for name in hopeful:
                known = runs[name]()
                best[name] = min(best[name], known) if rounds else known  # a first run may have cost more
            rounds += 1
            fastest = min(best[name] for name in hopeful).milliseconds
            hopeful = [name for name in hopeful if best[name].milliseconds <= BEATEN * fastest]
            if len(hopeful) < min(2, len(runs)):
                break
    return best


def _scaled(times: Mapping[str, KernelTime], factor: float) -> dict[str, KernelTime]:
    return {name: replace(known, milliseconds=factor * known.milliseconds) for name, known in times.items()}


def _with_smaller_batch(site: Site) -> tuple[Site, float]:
    """The site with as many samples as are enough to tell candidates apart, a multiple of the threads; and their share
    of all samples.
    """
    activations = {name: shape for name, shape in site.shapes.items() if name in site.activations}
    samples = {shape[0] for shape in activations.values()}
    if len(samples) != 1:
        return site, 1.0
    (batch,) = samples
    fewer = min(_enough_samples(shape) for shape in activations.values())
    shapes = {name: (fewer, *shape[1:]) if name in activations else shape for name, shape in site.shapes.items()}
    return replace(site, shapes=shapes), fewer / batch


def _enough_samples(shape: Sequence[int]) -> int:
    """Of an activation's samples as many as are enough: a multiple of the threads, or all."""
    threads = torch.get_num_threads()
    return min(shape[0], threads * math.ceil(ENOUGH_ELEMENTS / math.prod(shape[1:]) / threads))


def _moved(candidate: Candidate) -> frozenset[str]:
    """The values that the candidate has with channels last."""
    return frozenset(name for call in candidate.calls for name in call.activations if candidate.channels_last)


def _order(sizes: Sequence[Size], name: str | None, moved: frozenset[str]) -> list[Size]:
    """The sizes (or axes) of a value as the candidate has them, given those of channels first."""
    return [sizes[i] for i in to_last(len(sizes))] if name in moved else list(sizes)


def _site_model(site: Site, candidate: Candidate, graph: TrainingNodes) -> ir.Model:
    """A model of the site alone, as the candidate computes it."""
    model, moved = graph.model, _moved(candidate)
    values: dict[str, ir.Value] = {}
    inputs, constants = [], []
    for name in site.shapes:
        known = model.graph.initializers.get(name)
        if name in site.constants and known is not None:
            values[name] = ir.Value(name=name, const_value=known.const_value)
            constants.append(values[name])
        else:
            values[name] = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
            values[name].shape = ir.Shape(_order(site.shapes[name], name, moved))
            inputs.append(values[name])
    written = []
    for number, part in enumerate(site.parts):
        old = [graph.by_name[name] for name in part.nodes]
        if candidate.calls:
            replaced = {str(output.name): output for node in old for output in node.outputs}
            call = candidate.calls[number]
            new = [kernel_node(part, call, {**replaced, **values}, channels_last=candidate.channels_last)]
        else:
            new = _copies(old, values)
        for node in new:
            for output in node.outputs:
                # The batch may be a smaller one here.
                shape: Sequence[int | None] | None = graph.shape_of(output)
                if shape is not None and output.name in site.activations:
                    shape = [None, *shape[1:]]
                output.shape = None if shape is None else ir.Shape(_order(shape, output.name, moved))
                values[str(output.name)] = output
        written.extend(new)
    outputs = [values[name] for part in site.parts for name in part.outputs]
    opsets = {**model.graph.opset_imports, ATEN_DOMAIN: 1}
    alone = ir.Graph(inputs, outputs, nodes=written, initializers=constants, opset_imports=opsets, name="site")
    return ir.Model(alone, ir_version=model.ir_version)


def _copies(nodes: Sequence[ir.Node], values: Mapping[str, ir.Value]) -> list[ir.Node]:
    known, copies = dict(values), []
    for node in nodes:
        copy = ir.node(
            node.op_type,
            [None if value is None else known[str(value.name)] for value in node.inputs],
            dict(node.attributes),
            domain=node.domain,
            name=node.name,
            num_outputs=len(node.outputs),
        )
        for new, old in zip(copy.outputs, node.outputs, strict=True):
            new.name, new.type, new.shape = old.name, old.type, old.shape
            known[str(new.name)] = new
        copies.append(copy)
    return copies
