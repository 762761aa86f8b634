"""What a user asks of a transplant, as text and as a plan: names, globs, rules, confidence."""

import pytest

from onnxgrid.errors import TransplantError
from onnxgrid.transplant.pairing import pair_weights
from onnxgrid.transplant.rules import TransplantRules
from onnxgrid.transplant.structure import Pair
from onnxgrid.transplant.usage import Flattened
from tests.onnxgrid.transplant.shapes import source, targets

HELD = {f"{layer}.{parameter}": (3,) for layer in ("enc_1", "enc_2", "head") for parameter in ("weight", "bias")}

SELECTIONS = {  # the fact -> options, what is carried
    "all, without options": ({}, list(HELD)),
    "a layer": ({"only": ["enc_1"]}, ["enc_1.weight", "enc_1.bias"]),
    "layers": ({"only": ["enc_*"]}, ["enc_1.weight", "enc_1.bias", "enc_2.weight", "enc_2.bias"]),
    "parameters": ({"only": ["*.bias"]}, ["enc_1.bias", "enc_2.bias", "head.bias"]),
    "several": ({"only": ["head", "enc_1.bias"]}, ["enc_1.bias", "head.weight", "head.bias"]),
    "all but a layer": ({"exclude": ["enc_[12]"]}, ["head.weight", "head.bias"]),
    "exclude wins": ({"only": ["enc_*"], "exclude": ["*.weight"]}, ["enc_1.bias", "enc_2.bias"]),
}


@pytest.mark.parametrize(("options", "carried"), SELECTIONS.values(), ids=SELECTIONS)
def test_globs_choose_layers_and_parameters(options, carried):
    plan = pair_weights(source(HELD), targets(HELD), TransplantRules.parse(**options))
    assert [match.target.name for match in plan.carried] == carried
    assert [target.name for target in plan.excluded] == [name for name in HELD if name not in carried]
    assert plan.lines() == []  # what was not to be carried is not missing


def test_what_is_excluded_is_neither_missing_nor_unused():
    rules = TransplantRules.parse(renames=["^old=>new"], exclude=["new_head", "fresh"])
    held, wanted = {"old_head.bias": (3,), "a.bias": (1,)}, {"fresh.bias": (2,), "a.bias": (1,)}
    assert pair_weights(source(held), targets(wanted), rules).lines() == []


@pytest.mark.parametrize("option", ["only", "exclude"])
def test_a_glob_that_matches_nothing_is_refused(option):
    with pytest.raises(TransplantError) as caught:
        pair_weights(source(HELD), targets(HELD), TransplantRules.parse(**{option: ["enc_*", "dec_*"]}))
    assert str(caught.value) == (
        f"{option} 'dec_*': matches no layer and no parameter\n"
        "  Give a layer or a parameter of the target, as 'conv_1', 'enc_*' or '*.bias'."
    )


def test_shapes_are_adapted_where_the_rules_do_it():
    held = {"a.weight": (2, 2, 3, 3), "b.weight": (2, 2, 3, 3), "c.weight": (2, 3), "d.bias": (4,)}
    wanted = held | {"a.weight": (2, 2, 5, 5), "c.weight": (2, 4)}
    plan = pair_weights(source(held), targets(wanted), TransplantRules.parse(adapt=["center"]))
    assert [match.target.name for match in plan.copied] == ["b.weight", "d.bias"]
    (adapted,) = plan.adapted
    assert (adapted.target.name, adapted.adaptation.detail) == ("a.weight", "center: kernel (3, 3) -> (5, 5)")
    assert plan.lines() == ["   Skipping parameter c.weight: shape (2, 3) in model, (2, 4) in network"]
    assert [match.target.name for match in plan.carried] == ["a.weight", "b.weight", "d.bias"]


def test_names_go_before_structure_and_doubtful_pairs_are_not_carried():
    held = {"conv1.weight": (2,), "fc.weight": (3,), "old.weight": (4,)}
    wanted = {"conv1.weight": (2,), "dense.weight": (3,), "head.weight": (4,)}
    pairs = {
        "conv1.weight": Pair("fc.weight", 1.0),  # but the source has it by name
        "dense.weight": Pair("fc.weight", 0.95),
        "head.weight": Pair("old.weight", 0.6),
    }
    plan = pair_weights(source(held), targets(wanted), TransplantRules.parse(match="structure"), pairs=pairs)
    assert {match.target.name: match.source for match in plan.copied} == {
        "conv1.weight": "conv1.weight",
        "dense.weight": "fc.weight",
    }
    assert plan.lines() == [
        "   Skipping parameter head.weight (old.weight): paired by structure at confidence 0.60, below 0.90"
    ]
    assert plan.pair_lines() == ["   Paired layer dense with fc: confidence 0.95"]
    accepting = TransplantRules.parse(match="structure", accept_uncertain=True)
    plan = pair_weights(source(held), targets(wanted), accepting, pairs=pairs)
    assert plan.lines() == []
    assert [match.confidence for match in plan.copied] == [1.0, 0.95, 0.6]


def test_sizes_before_a_flatten():
    rules = TransplantRules.parse(source_sizes=["fc=8,6,32"], target_sizes=["m=1.fc=channels_first:32,8,6"])
    assert rules.source_sizes == {"fc": Flattened((8, 6), 32, channels_last=True)}
    assert rules.target_sizes == {"m=1.fc": Flattened((8, 6), 32, channels_last=False)}


@pytest.mark.parametrize(
    "text", ["fc", "=8,8,3", "fc=8", "fc=8,8,0", "fc=8,-8,3", "fc=8x8x3", "fc=channels_last:8,8,3", "fc=8,8,"]
)
def test_sizes_that_are_wrong_are_refused(text):
    with pytest.raises(TransplantError) as caught:
        TransplantRules.parse(source_sizes=[text])
    assert str(caught.value) == (
        f"sizes '{text}': is not of the form LAYER=H,W,C\n"
        "  Write for example 'dense_1=8,8,32', or 'fc1=channels_first:32,8,8'."
    )


def test_another_way_of_matching_is_refused():
    with pytest.raises(TransplantError) as caught:
        TransplantRules.parse(match="shape")
    assert str(caught.value) == "match 'shape': is no way of matching\n  Use 'name' or 'structure'."
