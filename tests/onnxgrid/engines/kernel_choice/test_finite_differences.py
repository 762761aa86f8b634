"""Every candidate of every site against finite differences: the gradients of a network that it takes part in.

The differences are central ones, of the loss in double precision by the ops' definitions (`TORCH_OPS`), for each
element of each parameter. A kernel of ours computes in double precision too: torch runs the training graph with its
candidate. ONNX Runtime's own kernels compute in single precision, in the engine.
"""

import ast
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from onnxgrid.engines.gradients import LOSS, SHARE, TARGET
from onnxgrid.engines.gradients.placeholders import PLACEHOLDERS
from onnxgrid.engines.kernel_choice import KernelTimes, choose_kernels, concrete_shapes, sites
from onnxgrid.engines.kernel_choice.site import NATIVE, Candidate, Site
from onnxgrid.engines.kernel_choice.sites import SITES, find_sites
from onnxgrid.engines.kernel_choice.sites.torch_functions import IN_ANY_LAYOUT
from onnxgrid.engines.kernel_options import KernelChoice, KernelOptions
from onnxgrid.engines.kernels import KERNELS
from onnxgrid.engines.ort_engine import OrtEngine
from onnxgrid.engines.torch_ops import TORCH_OPS
from onnxgrid.engines.torch_program import TorchProgram
from onnxgrid.engines.trainable_graph import TrainableGraph
from onnxgrid.losses import MeanSquaredError
from tests.onnxgrid.engines.kernel_choice.graphs import built
from tests.onnxgrid.engines.kernel_choice.test_candidates import CASES

SAMPLES = 2
CPU = torch.device("cpu")

STEP = 1e-5
DOUBLE, SINGLE, BFLOAT16 = 1e-6, 1e-4, 3e-2
"""What a gradient may differ by from the differences, as a share of the parameter's largest. Of a loss near 1, rounding
leaves 1e-16 / STEP = 1e-11 in a difference, and the gradients here are 1e-4 or more; bfloat16 has 8 bits."""

NEVER_CHOSEN = {
    "dropout_mask": "the only way to draw a mask; it has no gradient",
    "synchronized_norm": "the only one that exchanges with other processes",
    "synchronized_norm_backward": "its gradient",
}
"""{kernel: why no candidate calls it}."""


class Network:
    """A case's network with a batch, its training graph, and the differences of its loss."""

    def __init__(self, graph: TrainableGraph) -> None:
        random = torch.Generator().manual_seed(1)
        sizes = [int(size) for size in list(graph.model.graph.inputs[0].shape or ())[1:]]
        x = torch.randn(SAMPLES, *sizes, generator=random, dtype=torch.float64)
        forward = TorchProgram(graph.model, graph.model.graph.outputs, list(graph.parameters), CPU, "")
        self.graph = graph
        self.weights = {
            name: torch.from_numpy(np.array(array, np.float64))
            for name, array in {**graph.parameters, **graph.statistics}.items()
        }
        (y,) = forward({graph.input_name: x.float(), **{name: t.float() for name, t in self.weights.items()}})
        target = torch.randn(y.shape, generator=random, dtype=torch.float64)
        self.batch = {graph.input_name: x, TARGET: target, SHARE: torch.ones((), dtype=torch.float64)}
        self.training, self.nodes = built(graph, tuple(x.shape), tuple(target.shape))
        self.sites = list(find_sites(self.nodes))

    @cached_property
    def differences(self) -> dict[str, torch.Tensor]:
        """{parameter: the loss's gradient}."""
        model = self.training.forward
        loss = next(value for node in model.graph for value in node.outputs if value.name == LOSS)
        program = TorchProgram(model, [loss], list(self.weights), CPU, "")
        found = {}
        with torch.no_grad():
            for name in self.graph.parameters:
                tensor = self.weights[name].clone()
                flat, gradient = tensor.view(-1), torch.empty(tensor.numel(), dtype=torch.float64)
                values = {**self.batch, **self.weights, name: tensor}
                for i, value in enumerate(flat.tolist()):
                    ends = []
                    for moved in (value + STEP, value - STEP):
                        flat[i] = moved
                        ends.append(program(values)[0].item())
                    flat[i] = value
                    gradient[i] = (ends[0] - ends[1]) / (2 * STEP)
                found[name] = gradient.view(tensor.shape)
        return found


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Network:
    return Network(CASES[request.param][0])


@pytest.fixture(autouse=True)
def ops_of_built_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else ONNX Runtime's builder puts into a training graph, for torch."""

    def scale(x: torch.Tensor, by: torch.Tensor, *, scale_down: int = 0) -> torch.Tensor:
        return x / by if scale_down else x * by

    def slice_gradient(dy: torch.Tensor, shape: torch.Tensor, *places: torch.Tensor) -> torch.Tensor:
        dx = torch.zeros(shape.tolist(), dtype=dy.dtype)
        starts, ends, axes = (place.tolist() for place in places[:3])
        window = [slice(None)] * dx.dim()
        for start, end, axis in zip(starts, ends, axes, strict=True):
            window[axis] = slice(start, end)
        dx[tuple(window)] = dy
        return dx

    monkeypatch.setitem(TORCH_OPS, ("com.microsoft", "Scale"), scale)
    monkeypatch.setitem(TORCH_OPS, ("com.microsoft", "SliceGrad"), slice_gradient)


def test_every_candidate_gives_the_gradients_of_finite_differences(case: Network, tmp_path: Path) -> None:
    for site in case.sites:
        for candidate in site.candidates:
            if candidate.name == NATIVE:
                gradients, tolerance = in_single_precision(case, site, candidate, tmp_path), SINGLE
            else:
                gradients, tolerance = in_double_precision(case, site, candidate), DOUBLE
            if candidate.low_precision:
                tolerance = BFLOAT16
            assert gradients.keys() == case.differences.keys()
            for name, gradient in gradients.items():
                expected = case.differences[name]
                worst = float((gradient - expected).abs().max() / expected.abs().max())
                assert worst < tolerance, f"{site.op}, {candidate.name}: {name} differs by {worst:.1e}"


def in_single_precision(case: Network, site: Site, candidate: Candidate, folder: Path) -> dict[str, torch.Tensor]:
    options = KernelOptions(KernelChoice.ATEN, {site.key: candidate.name}, folder / "times.json")
    engine = OrtEngine(case.graph, MeanSquaredError(), seed=0, kernels=options)
    engine.step(case.batch[case.graph.input_name].float(), case.batch[TARGET].float(), number=0)
    assert engine.kernels[site.key] == candidate.name
    return dict(engine.gradients.views)


def in_double_precision(case: Network, site: Site, candidate: Candidate) -> dict[str, torch.Tensor]:
    training = case.training
    shapes = {name: tuple(tensor.shape) for name, tensor in case.batch.items()}
    model, kernels = choose_kernels(
        training.model,
        concrete_shapes(training.forward, shapes),
        KernelChoice.ATEN,
        low_precision=False,
        times=KernelTimes(Path("nowhere"), "here"),  # neither read nor written: nothing is measured
        decided={site.key: candidate.name},
        device=CPU,
    )
    assert kernels[site.key] == candidate.name
    made = {value.name: value for node in model.graph for value in node.outputs}
    wanted = [made[training.gradient_of[name]] for name in case.graph.parameters]
    model.graph.sort()
    program = TorchProgram(model, wanted, list(case.weights), CPU, "")
    with torch.no_grad():
        return dict(zip(case.graph.parameters, program({**case.batch, **case.weights}), strict=True))


@pytest.fixture(scope="module")
def all_sites() -> list[Site]:
    return [site for graph, _ in CASES.values() for site in Network(graph).sites]


def test_every_op_with_a_choice_has_a_case(all_sites: list[Site]) -> None:
    found = {site.op for site in all_sites}
    # What torch differentiates is found at ATen nodes; ONNX Runtime's builder renames the forward normalization.
    wanted = {{"BatchNormInternal": "BatchNormalization"}.get(op, op) for op in SITES.keys() - {"ATen"}}
    wanted |= {f"{op}Grad" for op in PLACEHOLDERS.keys() & set(IN_ANY_LAYOUT)}
    assert wanted - found == set()


def test_every_kernel_has_a_case(all_sites: list[Site]) -> None:
    called = {call.operator for site in all_sites for candidate in site.candidates for call in candidate.calls}
    called |= {"channels_last" for site in all_sites for candidate in site.candidates if candidate.channels_last}
    assert KERNELS.keys() - called == NEVER_CHOSEN.keys()


@pytest.mark.parametrize("path", sorted(Path(sites.__path__[0]).glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_every_candidate_has_a_case(path: Path, all_sites: list[Site]) -> None:
    """By the names that stand in the calls of `Candidate` and of the functions around it."""
    seen = {candidate.name for site in all_sites for candidate in site.candidates}
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    named = {
        argument.value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in ("Candidate", "candidate")
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant)
    }
    assert named
    assert named - seen == set()
