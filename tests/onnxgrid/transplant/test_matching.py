"""Renames as the user writes them."""

import re

import pytest

from onnxgrid.errors import TransplantError
from onnxgrid.transplant import substitution
from onnxgrid.transplant.matching import Rename, rename_all, unused_renames

RENAMES = {
    "none": ([], "enc_1.weight", "enc_1.weight"),
    "a prefix": (["^enc=>down"], "enc_1.weight", "down_1.weight"),
    "a group": ([r"^enc_(\d)\.=>level\1."], "enc_1.weight", "level1.weight"),
    "removal": (["^module\\.=>"], "module.a.bias", "a.bias"),
    "in order": (["^a=>b", "^b=>c"], "a.bias", "c.bias"),
    "the last arrow divides": (["x=>y=>z"], "x=>y.bias", "z.bias"),
    "no match": (["^dec=>up"], "enc_1.weight", "enc_1.weight"),
}


@pytest.mark.parametrize(("texts", "name", "expected"), RENAMES.values(), ids=RENAMES)
def test_a_name_is_renamed(texts, name, expected):
    assert rename_all([name], [Rename.parse(text) for text in texts]) == {expected: name}


WRONG = {
    "enc->down": "is not of the form REGEX=>REPLACEMENT",
    "=>down": "is not of the form REGEX=>REPLACEMENT",
    "enc_(=>down": "has a regular expression that is wrong: missing ), unterminated subpattern at position 4",
    r"enc=>\1": "has a replacement that is wrong: invalid group reference 1 at position 1",
    r"enc=>\g<level>": "has a replacement that is wrong: unknown group name 'level'",
}


@pytest.mark.parametrize(("text", "problem"), WRONG.items(), ids=WRONG)
def test_a_rename_that_is_wrong_says_why(text, problem):
    with pytest.raises(TransplantError) as caught:
        Rename.parse(text)
    assert str(caught.value) == f"rename '{text}': {problem}\n  " + r"Write for example '^enc_(\d)\.=>down_\1.'."


@pytest.mark.parametrize(
    ("regex", "shown"), [("(" * 2000 + ")" * 2000, "(" * 200 + "..."), ("a{99999999999}", "a{99999999999}=>b")]
)
def test_a_rename_that_is_too_much_for_re_says_so(regex, shown):
    with pytest.raises(TransplantError) as caught:
        Rename.parse(f"{regex}=>b")
    assert str(caught.value) == (
        f"rename '{shown}': has a regular expression that is nested too deeply, or counts too far\n"
        r"  Write for example '^enc_(\d)\.=>down_\1.'."
    )


ENDLESS = ["^(a+)+$", "(a|aa)+$", r"^(\w+\s?)*$", "(a{1,}){1,}$"]


@pytest.mark.parametrize("regex", ENDLESS)
def test_a_rename_that_backtracks_without_end_is_ended(regex, monkeypatch):
    monkeypatch.setattr(substitution, "MAX_SECONDS", 1.5)
    with pytest.raises(TransplantError) as caught:
        rename_all(["a" * 60 + "!.weight"], [Rename.parse(f"{regex}=>b")])
    assert str(caught.value) == (
        f"rename '{regex}=>b': takes more than 1.5 seconds: its regular expression backtracks, it seems "
        "without end\n  Write it without repetitions of repetitions, as '^a+$' for '^(a+)+$'."
    )


ODD_NAMES = ["a.weight", "\ud800.bias", "a\nb", "ä.weight", ""]


@pytest.mark.parametrize("regex", ["a.*b?|c", r"(?i)(A)+(?!b)", r"(?s)a.+?(\w)", "(?<=a)(.*?)$"])
def test_what_another_process_does_is_what_re_does(regex):
    renames = [Rename.parse(f"{regex}=><\\g<0>>"), Rename.parse("[wb]+|x=>")]
    expected = [re.sub("[wb]+|x", "", re.sub(regex, r"<\g<0>>", name)) for name in ODD_NAMES]
    assert list(rename_all(ODD_NAMES, renames)) == expected


def test_two_names_that_become_one_are_refused():
    with pytest.raises(TransplantError) as caught:
        rename_all(["enc_1.bias", "enc_2.bias"], [Rename.parse(r"_\d=>"), Rename.parse("enc=>down")])
    assert str(caught.value) == (
        r"renames '_\\d=>', 'enc=>down': 'enc_1.bias' and 'enc_2.bias' of the source would both be 'down.bias'"
        "\n  Make the regular expressions match fewer names."
    )


def test_a_rename_is_used_if_it_matches_when_its_turn_comes():
    renames = [Rename.parse(text) for text in ("^enc=>down", "^down=>level", "^enc=>x", "^a=>a")]
    assert unused_renames(["enc_1.bias", "a.bias"], renames) == [renames[2]]
