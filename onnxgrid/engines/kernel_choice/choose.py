"""Pass: for each site of a training graph the kernel that computes it.

`native` and `aten` take what ONNX Runtime or torch offers. `auto` measures: every site's candidates are timed alone,
and of two plans, all activations with their channels first or last wherever a kernel can have them so, the one with the
smaller sum of times is taken.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx_ir as ir
import torch

from onnxgrid.engines.kernel_choice.cache import KernelTimes
from onnxgrid.engines.kernel_choice.calmness import KernelTime, clearly_faster, together
from onnxgrid.engines.kernel_choice.graph import TrainingNodes
from onnxgrid.engines.kernel_choice.layout import join_transposes
from onnxgrid.engines.kernel_choice.plan import to_first, to_last, write_choices
from onnxgrid.engines.kernel_choice.site import NATIVE, Candidate, Site
from onnxgrid.engines.kernel_choice.sites import find_sites
from onnxgrid.engines.kernel_choice.timing import MeasuredTimes
from onnxgrid.engines.kernel_options import KernelChoice

__all__ = ["choose_kernels"]

logger = logging.getLogger(__name__)

Choices = list[tuple[Site, Candidate]]


def choose_kernels(
    model: ir.Model,
    shapes: Mapping[str, tuple[int, ...]],
    mode: KernelChoice,
    *,
    low_precision: bool,
    times: KernelTimes,
    decided: Mapping[str, str],
    device: torch.device,
) -> tuple[ir.Model, dict[str, str]]:
    """The training graph with its kernels, and {site: candidate} as it was chosen.

    Args:
        model: a training graph as `build_training_graph` gives it.
        shapes: of the forward graph's values (`concrete_shapes`).
        low_precision: whether kernels that multiply in bfloat16 may be chosen.
        times: measured before; what is missing is measured and added.
        decided: {site: candidate} of an earlier run, which is taken as it is.
    """
    graph = TrainingNodes(model, shapes)
    sites = [_narrowed(site, mode, low_precision, decided.get(site.key)) for site in find_sites(graph)]
    measured = MeasuredTimes(graph, times, device)
    measured.complete([site for site in sites if len(site.candidates) > 1])
    plan = _plan(sites, measured, channels_last=False)
    chosen = _written(model, plan)
    moved_plan = _plan(sites, measured, channels_last=True)
    if moved_plan != plan:
        moved = _written(model, moved_plan)
        time, moved_time = _total(plan, chosen, measured), _total(moved_plan, moved, measured)
        logger.debug(
            "kernels in all: %.1f ms with channels first, %.1f ms with channels last",
            time.milliseconds,
            moved_time.milliseconds,
        )
        if clearly_faster(moved_time, time):
            plan, chosen = moved_plan, moved
    _log_table(plan, measured)
    return chosen, {site.key: candidate.name for site, candidate in plan}


def _narrowed(site: Site, mode: KernelChoice, low_precision: bool, decided: str | None) -> Site:
    """The site with the one candidate that an earlier run took, if there is it, or else with those of the mode."""
    taken = [c for c in site.candidates if c.name == decided]
    if taken:
        return replace(site, candidates=tuple(taken))
    candidates = [c for c in site.candidates if low_precision or not c.low_precision]
    if mode is KernelChoice.NATIVE:
        candidates = [c for c in candidates if c.name == NATIVE] or candidates[:1]
    elif mode is KernelChoice.ATEN:
        ours = [c for c in candidates if c.name != NATIVE]
        candidates = ([c for c in ours if c.low_precision] or ours)[:1]
    else:
        candidates = [c for c in candidates if not c.on_request_only]
    return replace(site, candidates=tuple(candidates))


def _plan(sites: Sequence[Site], times: MeasuredTimes, *, channels_last: bool) -> Choices:
    """For each site the fastest candidate; one of the other layout has its detour to pay."""
    plan = []
    for site in sites:
        comparable = _comparable(site, times)
        groups = [[c for c in comparable if c.channels_last == last] for last in (channels_last, not channels_last)]
        usual, other = (_fastest(site.key, group, times) for group in groups)
        chosen = usual or other
        assert chosen is not None
        if usual is not None and other is not None:
            known = times.of(site.key)
            detour = _detour(usual if channels_last else other, times)
            if clearly_faster(together((known[other.name], detour)), known[usual.name]):
                chosen = other
        plan.append((site, chosen))
    return plan


def _comparable(site: Site, times: MeasuredTimes) -> list[Candidate]:
    """The candidates of a site whose times are known; all of them where there are nothing but guesses."""
    known = times.of(site.key)
    calm = [c for c in site.candidates if c.name in known and not known[c.name].busy]
    return calm or list(site.candidates)


def _fastest(key: str, candidates: Sequence[Candidate], times: MeasuredTimes) -> Candidate | None:
    """The fastest of some candidates of a site: the first of them, unless another one is clearly faster."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    known = times.of(key)
    best = min(candidates, key=lambda c: known[c.name])
    return best if clearly_faster(known[best.name], known[candidates[0].name]) else candidates[0]


def _detour(moved: Candidate, times: MeasuredTimes) -> KernelTime:
    """The time to transpose all activations of a candidate that has them with channels last."""
    names = dict.fromkeys(name for call in moved.calls for name in call.activations)
    shapes = [times.graph.shape_of_name(name) for name in names]
    return together(times.of_transpose(shape, to_last(len(shape))) for shape in shapes if shape is not None)


def _written(model: ir.Model, plan: Choices) -> ir.Model:
    # The builder may name the gradient of an output that nothing reads, and no node makes: hence the outer scope.
    copy = model.graph.clone(allow_outer_scope_values=True)
    write_choices(copy, plan)
    join_transposes(copy)
    return ir.Model(copy, ir_version=model.ir_version)


def _total(plan: Choices, written: ir.Model, times: MeasuredTimes) -> KernelTime:
    """The time of all sites, and of the Transposes that are left between them."""
    each = [known for site, candidate in plan if (known := times.of(site.key).get(candidate.name)) is not None]
    for node in written.graph:
        if node.op_type == "Transpose" and node.name not in times.graph.names:
            permutation = list(node.attributes.get_ints("perm", []))
            last_to_first = permutation == to_first(len(permutation))
            shape = times.graph.shape_of(node.outputs[0] if last_to_first else node.inputs[0])
            if shape is not None:
                order = to_last(len(shape)) if last_to_first else range(len(shape))
                each.append(times.of_transpose([shape[i] for i in order], permutation))
    return together(each)


def _log_table(plan: Choices, times: MeasuredTimes) -> None:
    """One line for each site: what was chosen, and the milliseconds of all that was measured."""
    guesses = 0
    for site, candidate in plan:
        known = sorted(times.of(site.key).items(), key=lambda pair: pair[1])
        texts = [f"{name} {time.milliseconds:.2f} ms{' (busy)' * time.busy}" for name, time in known]
        text = ", ".join(texts) or "not measured"
        logger.debug("%s: %s  (%s)  [%s]", site.parts[0].nodes[0], candidate.name, text, site.key)
        guesses += sum(time.busy for _, time in known)
    if guesses:
        logger.debug("%d times are of a busy machine: the next run that finds it calm takes them again", guesses)
