"""Label columns as people have them: slips, empty values, several spellings and mixtures become classes or bad rows."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from hf_sentiment.data.labels import (
    LabelRule,
    UnknownLabel,
    canonical,
    infer_label_rule,
    is_missing,
    is_several,
    only_value,
    rule_for_split,
    rule_of_classes,
    stars_of,
    strays,
)
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.errors import CallError, DataError, SentimentError

BINARY = ("negative", "positive")
TERNARY = ("negative", "neutral", "positive")
STARS = {str(star): 100 for star in range(1, 6)}


def column(counts: dict[Any, int]) -> list[Any]:
    return [value for value, count in counts.items() for _ in range(count)]


def unknown(rule: LabelRule, values: Any) -> set[Any]:
    """The values that the rule has no class for and does not drop."""
    found = set()
    for value in values:
        try:
            rule(value)
        except UnknownLabel:
            found.add(value)
    return found


@pytest.mark.parametrize(
    ("counts", "options", "labels", "bad"),
    [
        ({0: 200, 1: 200, 2: 1}, {}, BINARY, {2}),
        ({0: 8, 1: 392, 2: 1, "?": 3}, {}, BINARY, {2, "?"}),
        ({0: 200, 1: 200, 2: 1}, {"num_labels": 3}, TERNARY, set()),
        ({0: 200, 1: 200, 2: 1}, {"labels": ["a", "b", "c"]}, ("a", "b", "c"), set()),
        ({0: 200, 1: 200, 2: 1}, {"labels": ["a", "b"]}, ("a", "b"), {2}),
        ({0: 200, 1: 200, 2: 40}, {}, TERNARY, set()),
        ({0: 500, 1: 490, 2: 10}, {}, BINARY, {2}),
        ({0: 200, 1: 200, "maybe": 40}, {"labels": ["bad", "good"]}, ("bad", "good"), {"maybe"}),
        ({0: 200, 1: 200, "good": 1}, {"labels": ["bad", "good"]}, ("bad", "good"), set()),
        ({True: 200, False: 200, "maybe": 1}, {"labels": ["bad", "good"]}, ("bad", "good"), {"maybe"}),
        ({-1: 200, 1: 200, 0: 1}, {}, BINARY, {0}),
        ({-1: 200, 1: 200, 0: 1}, {"num_labels": 3}, TERNARY, set()),
        ({-1: 200, 0: 200, 1: 200, 5: 1, "x": 1}, {}, TERNARY, {5, "x"}),
        ({0: 200, 4: 200, 2: 1}, {}, BINARY, {2}),
        ({0: 200, 1: 200, 0.53: 1, "Total": 1}, {}, BINARY, {0.53, "Total"}),
        (STARS | {"0": 1}, {}, BINARY, {"0"}),
        (STARS | {"5 stars": 1, "★★☆☆☆": 1, "4/5": 1, "1.0 out of 5 stars": 1}, {}, BINARY, set()),
        (STARS | {"five": 1, "55": 1, "-1": 1, "3.72": 1, "1484": 1}, {}, BINARY, {"five", "55", "-1", "3.72", "1484"}),
        (STARS | {"3.5": 1}, {"num_labels": 5}, tuple(f"{i} star{'s' * (i > 1)}" for i in range(1, 6)), {"3.5"}),
        ({"1 star": 50, "5 stars": 50, "4": 1, "n/a": 2}, {}, BINARY, {"n/a"}),
        ({i / 100: 2 for i in range(100)} | {60: 1}, {}, BINARY, {60}),
        ({i / 10: 4 for i in range(-39, 40)} | {35: 1}, {}, BINARY, {35}),
        ({True: 60, False: 60, "maybe": 1}, {}, BINARY, {"maybe"}),
        ({"positive": 200, "negative": 200, "maybe": 1, "neutral": 1}, {}, BINARY, {"maybe", "neutral"}),
        ({"positive": 200, "negative": 200, "maybe": 20}, {}, ("maybe", *BINARY), set()),
        ({"positive": 30, "negative": 30, "60": 1}, {}, BINARY, {"60"}),
        ({"spam": 100, "ham": 100, "200": 1, "TRUE": 1, "#NAME?": 2}, {}, ("ham", "spam"), {"200", "TRUE", "#NAME?"}),
        ({"a": 10, "b": 10, "c": 1}, {}, ("a", "b", "c"), set()),
        ({"positive": 30, "negative": 24, "None": 6, "-": 2}, {}, BINARY, {"None", "-"}),
        ({"0": 30, "1": 24, "None": 100, "unknown": 1}, {}, BINARY, {"None", "unknown"}),
        ({"joy": 100, "fear": 100, "none": 100}, {}, ("fear", "joy", "none"), set()),
        ({"joy": 400, "fear": 60, "unknown": 70}, {}, ("fear", "joy", "unknown"), set()),
        ({"joy": 100, "fear": 100, "None": 9}, {}, ("fear", "joy"), {"None"}),
        ({"joy": 100, "fear": 100, "None": 9}, {"labels": ["joy", "none", "fear"]}, ("joy", "none", "fear"), set()),
        ({"joy": 99, "fear": 99, "none": 2}, {"label_names": ["none", "joy", "fear"]}, ("none", "joy", "fear"), set()),
        ({"negative": 200, "positive": 200, "neutral": 1}, {"label_names": TERNARY}, TERNARY, set()),
        ({"0": 200, "1": 200, "2": 1}, {"label_names": ["2", "0", "1"]}, TERNARY, set()),
        ({"+": 20, "-": 20, "?": 1}, {}, BINARY, {"?"}),
        (dict.fromkeys("abcdefghij", 1), {}, tuple("abcdefghij"), set()),
        (dict.fromkeys("abcdefghijkl", 1), {"labels": list("abcdefghijkl")}, tuple("abcdefghijkl"), set()),
        (dict.fromkeys("abcdefghijkl", 1), {"label_names": list("abcdefghijkl")}, tuple("abcdefghijkl"), set()),
        (dict.fromkeys("abcdefghijkl", 2), {}, tuple("abcdefghijkl"), set()),
    ],
)  # fmt: skip
def test_slips_and_empty_values_are_no_classes(counts, options, labels, bad):
    rule = infer_label_rule(column(counts), **options)
    assert rule.labels == labels
    assert unknown(rule, counts) == bad


def test_few_rows_or_many_rare_values_are_no_slips():
    assert strays({"a": 10, "b": 8, "c": 1}, 19) == frozenset()
    assert strays({"a": 10, "b": 9, "c": 1}, 20) == {"c"}
    assert strays({"a": 500, "b": 494, "c": 6}, 1000, among_words=True) == frozenset()
    assert strays({"a": 500, "b": 490, "c": 10}, 1000) == strays({"a": 500, "c": 5}, 1000, among_words=True) == {"c"}
    assert strays(dict.fromkeys(range(100), 1), 100) == frozenset()


@pytest.mark.parametrize(
    ("counts", "meaning"),
    [
        ({"negative": 14, "0": 18, "1": 12, "positive": 16}, {"0": 0, "negative": 0, "1": 1, "POS": 1}),
        ({"neg": 14, -1: 18, 1: 12, "pos": 16}, {-1: 0, "neg": 0, "1.0": 1}),
        ({"true": 12, "false": 18, "1": 14, "0": 16}, {"true": 1, "1": 1, "0": 0, "No": 0}),
        ({"true": 12, "false": 18, "positive": 14}, {"true": 1, "positive": 1, "false": 0, "neg": 0}),
        ({"1,0": 10, "0,0": 9, "1.0": 4, "1": 3, " 0 ": 1}, {"1,0": 1, "0": 0, 0.0: 0}),
        ({"'1": 10, "0": 9, "\uff11": 1}, {"1": 1, "0": 0}),
        ({"+": 9, "-": 8}, {"+": 1, "-": 0}),
        ({"negative": 9, "positive": 8, '"positive': 3, "negative'": 2}, {'"positive': 1, "negative'": 0}),
        ({"0": 9, "1": 8, '"1': 2, '1"': 1, '="0"': 4}, {'"1': 1, '1"': 1, '="0"': 0}),
        ({"negative": 9, "positive": 8, "neg.": 3, "(positive)": 2, "positive!": 1}, {"neg.": 0, "(positive)": 1}),
        ({"negative": 9, "positive": 8, "bad": 9, "good": 7}, {"bad": 0, "Good": 1, "neg": 0}),
        ({"N": 9, "P": 8, "negative": 9}, {"n": 0, "p": 1, "positive": 1}),
        ({"T": 9, "F": 8, "true": 9}, {"t": 1, "F": 0, "false": 0}),
        ({"bad": 9, "good": 8, "0": 9, "1": 8}, {"bad": 0, "1": 1}),
    ],
)
def test_what_plainly_means_the_same_is_one_class(counts, meaning):
    rule = infer_label_rule(column(counts))
    assert rule.labels == BINARY
    assert {value: rule(value) for value in meaning} == meaning
    assert not unknown(rule, counts)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        (
            {"negative": 20, "positive": 20, "1": 10, "2": 5},
            {},
            r"mixes names \(negative in 20 rows.*numbers \(1 in 10",
        ),
        ({"negative": 20, "neutral": 9, "positive": 20, "0": 5, "1": 5}, {}, "mixes names"),
        ({"spam": 20, "ham": 20, "0": 9, "1": 9}, {}, "--labels a,b"),
        ({"negative": 90, "positive": 80, "none": 85}, {}, "--labels negative,positive,none; if it means no label"),
        ({"LABEL_0": 20, "LABEL_1": 20}, {}, "labels LABEL_0, LABEL_1 don't say what they mean.*--labels NAME_OF_0"),
        ({"label_2": 20, "Label 0": 20, "label-1": 5}, {}, "LABEL_0, LABEL_1, LABEL_2"),
        ({"LABEL_0": 20, "LABEL_1": 20}, {"labels": ["LABEL_0", "LABEL_1"]}, "say what they mean"),
        ({"LABEL_0": 20, "LABEL_1": 20}, {"label_names": ["LABEL_0", "LABEL_1"]}, "don't say what they mean"),
        ({"a": 5, "b": 5}, {"labels": ["a", "A"]}, "two or more different names"),
        ({"[1, 0]": 5, "[0, 1]": 5}, {}, "lists or objects"),
        ({"#N/A": 5, "-": 5, "NaN": 5}, {}, "the label column is empty"),
        (
            STARS | {"-1": 30},
            {},
            r"label -1 stands in 30 of 530 rows, .* \(1 to 5\).* leave these rows out; .*a,b,c,d,e,f",
        ),
        ({f"r-{i}": 1 for i in range(45)}, {}, "45 different labels in 45 rows, such as 'r-0': .*--label_column NAME"),
        ({f"u{i}": 1 + (i > 40) for i in range(45)}, {}, "look like texts, ids or dates"),
        ({f"the film number {i} was good": 1 for i in range(11)}, {}, "look like texts, ids or dates"),
        (dict.fromkeys(("2024-01-31", "2024-02-29T12:00:00"), 20), {}, "2 different labels .* look like texts"),
        (dict.fromkeys(("31.1.2024", "1/2/24", "Jan 31, 2024", "1 February 2024"), 20), {}, "look like texts"),
        (dict.fromkeys((f"a film of the {'very ' * 20}good", f"a {'very ' * 20}bad one"), 20), {}, "look like texts"),
        (STARS | {-1: 30}, {"num_labels": 5}, "label -1 stands"),
        (STARS | {-1: 30}, {"labels": ["bad", "good"]}, "label -1 stands"),
        (STARS | {-99: 50}, {}, "label -99 stands"),
        (STARS | {99: 50}, {}, "label 99 stands"),
        (dict.fromkeys((0.1, 0.3, 0.4, 0.7, 0.9), 20) | {-1: 5}, {}, "label -1 stands .* put class names in the file"),
        (dict.fromkeys((5, 20, 35, 80, 95), 20) | {-1: 5}, {}, "label -1 stands"),
        (dict.fromkeys((5, 95), 20) | {-1: 5}, {}, "label -1 stands"),
        (dict.fromkeys((-1, 0, 1), 20) | {99: 10}, {}, r"label 99 stands .* \(-1 to 1\)"),
        (dict.fromkeys((-0.9, -0.2, 0.1, 0.8), 20) | {-99: 10}, {}, "label -99 stands"),
        (dict.fromkeys((-0.2, 0.5), 50) | {35: 10}, {}, "label 35 stands"),
        (dict.fromkeys((0, 1, 2), 20) | {-1: 5}, {}, "label -1 stands"),
        (dict.fromkeys(range(1, 11), 10) | {-1: 10}, {}, "label -1 stands"),
    ],
)
def test_what_is_not_certain_is_asked_for(counts, options, message):
    with pytest.raises(CallError, match=message) as caught:
        infer_label_rule(column(counts), **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "values", [[-1, 0.5, 1], [-2, 0, 1, 2], [-5, 0, 5], [-3, 0.3, 1.7, 2.2], [-0.9, 0.3, 0.5, 0.8]]
)
def test_one_number_below_zero_is_of_a_scale_that_reaches_as_far_above(values):
    rule = infer_label_rule(values * 9)
    assert rule.symmetric and (rule(values[0]), rule(values[-1])) == (0, 1)


def test_spellings_are_one_class_which_is_said(caplog):
    spelled = {"Good": 10, "good": 5, " GOOD\t": 2, "go\u200bod": 1, "\uff47ood": 1, "scho\u0308n": 4, "sch\xf6n": 5}
    spelled |= {"SCH\xd6N\xa0": 1, "\ufeffscho\u0308n": 1, '"good"': 1, "poz\u0131tif": 1, "POZ\u0130T\u0130F": 2}
    with caplog.at_level(logging.INFO):
        rule = infer_label_rule(column(spelled))
    assert rule.labels == ("Good", "POZ\u0130T\u0130F", "sch\xf6n")
    assert [rule(value) for value in spelled] == [0] * 5 + [2] * 4 + [0, 1, 1]
    [line] = [message for message in caplog.messages if "one class" in message]
    assert "Good (10), good (5), ' GOOD\\t' (2), \"good\" (1), 'go\\u200bod' (1)" in line
    caplog.clear()
    with caplog.at_level(logging.INFO):
        infer_label_rule(column({"good": 10, "bad": 10}))
    assert caplog.messages == []


def test_words_of_two_classes_stay_what_they_are_and_few_rows_of_a_name_are_said(caplog):
    for names in ({"N": 9, "P": 8}, {"bad": 9, "good": 8}, {"F": 9, "T": 8}):
        assert infer_label_rule(column(names)).labels == tuple(names)
    with caplog.at_level(logging.INFO):
        assert len(infer_label_rule(column({"ham": 200, "spam": 190, "hamm": 3, "Total": 1})).labels) == 4
    assert caplog.messages == [
        "classes of few rows: hamm (3), Total (1); if these are slips, name the others, --labels ham,spam"
    ]


def test_advice_on_a_class_that_may_be_no_label_names_all_the_others(caplog):
    with caplog.at_level(logging.INFO):
        infer_label_rule(["P+", "P", "NEU", "N", "N+", "NONE"] * 20)
    assert any(message.endswith("if it means no label, --labels P+,P,NEU,N,N+") for message in caplog.messages)


def test_true_is_no_star():
    rule = infer_label_rule(column(STARS | {"true": 1}))
    assert unknown(rule, ["true", "false", "positive"]) == {"true", "false"}


def test_labels_name_placeholders_in_the_order_of_their_numbers():
    rule = infer_label_rule(["LABEL_1", "label_0", "LABEL_1"], labels=["praise", "complaint"])
    assert (rule("LABEL_0"), rule("Label_1"), rule("PRAISE")) == (0, 1, 0)


def test_a_list_of_one_is_that_label_and_other_lists_are_none():
    for text in ('["positive"]', "['positive']", '[ "positive" ]'):
        assert only_value(text) == "positive"
    assert only_value("[1]") == 1 and canonical("['1']") == "1"
    for text in ('["a", "b"]', "['a', 'b']", "['a' 'b']", "[1, 0]", "[0. 1.]", '{"choices": ["a"]}', "{'a': 1}"):
        assert is_several(text), text
    for text in ("[deleted]", "{x}", "[not sure]", "(a)", "[", "a]"):
        assert only_value(text) == text
    assert is_missing("[]") and is_missing("{}")


def test_values_that_stand_for_no_label_in_any_column():
    empty = "  |#N/A|#NA|#NV|N/A|na|NaN|NaT|null|<NA>|-|--|\u2014|?|...|\u2026|\u200b\ufeff|undefined"
    assert all(map(is_missing, [*empty.split("|"), "#REF!", "#DIV/0!", "#NAME?", "##"]))
    assert all(map(is_missing, ("(blank)", "[NULL]", "<null>", "(none)", "[unknown]", "(N/A)")))
    assert not any(
        map(
            is_missing,
            ("none", "blank", "(positive)", "unknown", "neutral", "#1", "n", ":(", "0", "\u2605", "+1", "no", "*"),
        )
    )


def test_stars_as_shops_write_them():
    stars = {"4 stars": 4, "3.5\u2605": 3.5, "4.0 out of 5 stars": 4, "2/5": 2, "***": 3, "\u2605\u2605\u2606": 2}
    stars |= {"5星": 5, "4つ星": 4, "1 Stern": 1, "3 sterren": 3, "2 étoiles": 2, "1 stella": 1, "5 estrellas": 5}
    stars |= {"one star": 1, "Five stars": 5, "four-star": 4, "五星": 5, "三颗星": 3}
    stars |= {"4,0 von 5 Sternen": 4, "3,5 sur 5 étoiles": 3.5, "4,0 de 5 estrellas": 4, "4,0 su 5 stelle": 4}
    stars |= {"4,0 van 5 sterren": 4, "5つ星のうち4.0": 4, "4颗星": 4, "四颗星": 4, "4顆星": 4, "星4つ": 4, "별 4개": 4}
    stars |= {"☆☆☆☆": 4, "★★★★☆": 4, "4 Star(s)": 4, "Rated 4 out of 5": 4, "Rated 4.5 out of 5 stars": 4.5}
    stars |= {"4 estrelas": 4, "4 stjerner": 4, "1 stjärna": 1, "1 gwiazdka": 1, "4 gwiazdki": 4, "5 gwiazdek": 5}
    stars |= {"4 yıldız": 4, "4 YILDIZ": 4, "4 звезды": 4, "5 звёзд": 5, "1 звезда": 1, "4 из 5 звезд": 4}
    assert {text: stars_of(text) for text in stars} == stars
    assert {text: stars_of(canonical(text)) for text in stars} == stars
    assert [stars_of(text) for text in ("4", "4/10", "40 %", "4 of 10 stars", "star", "six stars", "")] == [None] * 7


@pytest.mark.parametrize(
    "form", ["{},0 von 5 Sternen", "5つ星のうち{}.0", "{}颗星", "별 {}개", "{} yıldız", "Rated {} out of 5"]
)
def test_columns_of_stars_in_any_of_these_forms_have_the_rule_of_stars(form):
    rule = infer_label_rule([form.format(star) for star in range(1, 6)] * 9)
    assert [rule(form.format(star)) for star in range(1, 6)] == [0, 0, None, 1, 1] and rule.kind == "stars"


def test_a_rule_knows_its_classes_by_their_names():
    for values in ([0, 1], [-1, 1], [True, False], [1, 2, 3, 4, 5], [0.1, 0.9], [-3.5, 2.0], ["neg", "pos"]):
        rule = infer_label_rule(values)
        assert (rule("negative"), rule("POS"), rule(" Positive\t")) == (0, 1, 1)
    for values in ([1, 2, 3, 4, 5], [-3.5, 2.0]):
        assert infer_label_rule(values)("neutral") is None
    with pytest.raises(UnknownLabel):
        infer_label_rule([0, 1])("neutral")
    rule = infer_label_rule([0, 1], labels=["Ham", "spam"])
    assert (rule("ham"), rule("SPAM"), rule("1")) == (0, 1, 1)
    assert rule.known == "0, 1, Ham, spam"
    swapped = infer_label_rule([0, 1], labels=["1", "0"])
    assert (swapped("0"), swapped(1)) == (1, 0)  # the value that is called so


def test_rules_saved_by_earlier_versions_are_read():
    old = {"kind": "names", "labels": ["Bad", "Good", "good"], "description": "names"}
    rule = LabelRule.from_dict(old | {"mapping": {"Bad": 0, "Good": 1, "good": 2}})
    assert (rule("Good"), rule("good"), rule("BAD")) == (1, 2, 0)
    with pytest.raises(UnknownLabel):
        rule("GOOD")
    stars = {"1": 0, "5": 1, "1 star": 0, "5 stars": 1}
    rule = LabelRule.from_dict({"kind": "stars", "labels": BINARY, "description": "stars", "mapping": stars})
    assert (rule(5), rule("1 star"), rule("positive")) == (1, 0, 1)
    scores = {"kind": "scores", "labels": BINARY, "description": "scores", "cuts": [0.5], "classes": [0, 1]}
    assert LabelRule.from_dict(scores)(7) == 1


def test_a_split_in_a_scheme_of_its_own_is_read_by_it_only_where_the_order_agrees():
    assert rule_for_split([0, 1, 1], infer_label_rule(["neg", "pos"]), "x")(1) == 1
    assert rule_for_split(STARS, infer_label_rule(["neg", "pos"]), "x")("3") is None
    for names in (["joy", "fear"], ["positive", "negative"]):
        rule = infer_label_rule(names, label_names=names)
        assert rule_for_split([0, 1], rule, "x") is rule
    ternary = infer_label_rule(["neg", "neu", "pos"])
    assert rule_for_split([0, 1], ternary, "x") is ternary  # 1 may be neutral
    for trained, tested in ((STARS, [0, 1]), ([0, 1], [-1, 0, 1]), ([0, 1], [0, 1, 2])):
        with pytest.raises(CallError, match=r"x: labels in another scheme .* is (negative|positive): write names"):
            rule_for_split(tested * 20, infer_label_rule(trained), "x")
        kept = infer_label_rule(STARS, labels=["1", "5"])
        assert rule_for_split(STARS, kept, "x") is kept  # what the user says
        assert rule_for_split(tested + ["positive"] * 40, infer_label_rule(trained), "x")("positive") == 1
    # Half of 1 and 5 is known to a rule for 0 and 1, and means something else.
    with pytest.raises(
        CallError, match=r"x: labels in another scheme than .*: 5 is none of its values, and no row is neg"
    ):
        rule_for_split([1, 5] * 20, infer_label_rule([0, 1]), "x")
    for trained, tested in (
        ([0, 1], [-1, 1]),
        ([0, 1], [0, 4]),
        (["negative", "positive"], ["negative", 1, "positive", 0]),
    ):
        own = rule_for_split(tested * 20, infer_label_rule(trained), "x")
        assert [own(value) for value in tested[:2]] == [0, 1] and not unknown(own, tested)
    three = infer_label_rule([0, 1, 2], labels=["a", "b", "c"])
    assert rule_for_split([0, 1, 2, 3] * 20, three, "x") is three  # one more class: bad rows
    with pytest.raises(CallError, match=r"none of the model's labels LABEL_0,LABEL_1 is in .* negative, positive"):
        rule_of_classes(["negative", "positive"], ["LABEL_0", "LABEL_1"], "the model's labels")
    assert rule_of_classes(["1", "0"], ["LABEL_0", "LABEL_1"], "the model's labels")("1") == 1


SIGNED = [-0.9, -0.5, -0.2, 0.1, 0.4, 0.8]
UNIT = [0.1, 0.3, 0.7, 0.9]
FIVE = [0, 1, 2, 3, 4]
TEN = list(range(1, 11))
LETTERS = {"labels": list("abcde")}


@pytest.mark.parametrize(
    ("trained", "options", "tested"),
    [
        (SIGNED, {}, UNIT),
        (SIGNED, {"num_labels": 3}, UNIT),
        (SIGNED, {"labels": ["bad", "good"]}, UNIT),
        (SIGNED, {}, [0, 1] * 9),
        (SIGNED, {"num_labels": 3}, [0, 1] * 9),
        (SIGNED, {}, list(STARS)),
        ([-3.9, 2.2], {}, list(STARS)),
        ([-3.9, 2.2], {}, FIVE),
        ([-3.9, 2.2], {}, TEN),
        (UNIT, {}, SIGNED * 9),
        (UNIT, {}, FIVE * 9),
        (list(STARS), {}, [0] + [1] * 9),
        (list(STARS), {"num_labels": 3}, [0] + [1] * 9),
        (list(STARS), {"num_labels": 5}, [0] + [1] * 9),
        (list(STARS), {}, FIVE),
        (list(STARS), {"num_labels": 5}, FIVE),
        (list(STARS), {}, TEN),
        (list(STARS), {"num_labels": 5}, TEN),
        (list(STARS), {}, [2, 4, 6, 8, 10]),
        (FIVE, LETTERS, list(STARS)),
        (FIVE, LETTERS, [1] * 9 + [5]),
        ([1, 2, 3, 4], {"labels": list("abcd")}, [0, 1, 2, 3, 3]),
        ([0, 1], {}, [0] * 5 + [1] * 5 + [2]),
        ([0, 1], {}, [1] * 16 + [2, 3, 4, 5]),
        ([0, 1, 2], {}, FIVE),
    ],
)
def test_a_split_on_another_scale_is_refused_although_the_rule_knows_most_of_it(trained, options, tested):
    rule = infer_label_rule(trained * 20, **options)
    with pytest.raises(
        CallError, match=r"^x: labels in another scheme \(.*\) than the training data's \(.*: write names, "
    ):
        rule_for_split(tested * 2, rule, "x")


@pytest.mark.parametrize(
    ("trained", "options", "tested"),
    [
        (list(STARS), {}, [4, 5] * 20),
        (list(STARS), {}, [1]),
        (list(STARS), {}, [4, 5] * 20 + [-1] * 8),
        (list(STARS), {}, [*STARS] * 20 + [-1] * 15),
        (list(STARS), {}, [*STARS] * 20 + [0] * 15),
        (list(STARS), {}, [*STARS] * 20 + [99] * 15),
        ([0, 1, 2], {}, [0, 1]),
        ([0, 1, 2], {}, [0, 1] * 20),
        ([0, 1, 2], {}, [1, 2] * 20),
        ([0, 1], {}, [0, 1] * 4 + [2]),
        (FIVE, LETTERS, [1, 3] * 9),
        (FIVE, LETTERS, [*FIVE, 5] * 9),
        (SIGNED, {}, [-0.5, 0.5]),
        (SIGNED, {}, [0.2, 0.6, 0.9]),
        (SIGNED, {}, [0, 1]),
        (SIGNED, {}, [-1, 0, 1] * 9),
        (SIGNED, {}, [0.6, 0.7, 0.8, 0.9] * 9),
        ([-3.9, 3.2], {}, [2.1, 3.3, 1.2, 0.4] * 5),
        (UNIT, {}, [0, 1] * 9),
        (UNIT, {}, UNIT * 9 + [-1] * 5),
    ],
)
def test_a_split_that_lacks_values_or_has_a_code_for_no_label_is_read_by_the_rule(trained, options, tested):
    rule = infer_label_rule(trained * 20, **options)
    assert rule_for_split(tested, rule, "x") is rule


def test_few_rows_of_a_scheme_of_its_own_are_read_by_it_where_a_class_has_no_other():
    for trained, tested in ((STARS, [4] * 9 + [0]), ([-1, 1], [1] * 9 + [0])):
        own = rule_for_split(tested * 2, infer_label_rule(trained), "x")
        assert [own(value) for value in tested] == [1] * 9 + [0]


def write(path: Path, labels: list[Any], extra: dict[int, str] | None = None) -> str:
    """A file with a text a label; `extra`: line → what is put before it."""
    if path.suffix == ".jsonl":
        lines = [json.dumps({"text": f"text {i} of a kind", "label": label}) for i, label in enumerate(labels)]
    else:
        lines = ["text,label", *(f'text {i} of a kind,"{label}"' for i, label in enumerate(labels))]
    for row, line in (extra or {}).items():
        lines.insert(row, line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_rows_are_named_with_what_they_hold_in_every_split(tmp_path):
    train = write(tmp_path / "train.csv", [0, 1] * 60, {30: "text,label", 61: "Text , LABEL", 100: "Total,60"})
    other = write(tmp_path / "other.csv", ["joy", "fear"] * 60, {30: "Review,sentiment", 61: "a text,Label"})
    with pytest.raises(DataError, match=r"row 31: .*'sentiment': the header of a table again; .* row 62: .*'Label'"):
        prepare_data(train_file=other)
    with pytest.raises(DataError) as caught:
        prepare_data(train_file=train)
    assert str(caught.value).startswith(
        f"3 bad rows: {train}, row 31: unknown label 'label': the header of a table again; {train}, row 62: "
        f"unknown label ' LABEL': the header of a table again; {train}, row 101: unknown label '60' (known: 0, 1, "
    )
    data = prepare_data(train_file=train, on_bad_rows="drop")
    assert data.rule.labels == BINARY and data.rows["train"] == {"kept": 120, "dropped_by_rule": 0, "bad": 3}
    good = write(tmp_path / "good.csv", [0, 1] * 60)
    test = write(tmp_path / "test.csv", ["negative", "POSITIVE", "#N/A", "None", "posiitve", "2"] + [1, 0] * 9)
    with pytest.raises(DataError) as caught:
        prepare_data(train_file=good, test_file=test)
    assert f"{test}, row 4: no label ('#N/A'); {test}, row 5: no label ('None'); {test}, row 6: " in str(caught.value)
    assert "unknown label 'posiitve' (misspelt positive? known: 0, 1, negative, positive)" in str(caught.value)


def test_another_scale_is_an_error_even_where_bad_rows_are_dropped(tmp_path):
    train = write(tmp_path / "train.csv", SIGNED * 20)
    test = write(tmp_path / "test.csv", UNIT * 10)
    with pytest.raises(CallError, match=r"test\.csv: labels in another scheme .*, in which 0\.1 is dropped"):
        prepare_data(train_file=train, test_file=test, on_bad_rows="drop")


@pytest.mark.parametrize("several", [["a", "b"], [1, 0], {"choices": ["a"]}, {"a": 1}])
def test_several_labels_or_an_object_are_refused_with_their_row(tmp_path, several):
    lists = write(tmp_path / "lists.jsonl", [["a"], ["b"]] * 30)
    assert prepare_data(train_file=lists).rule.labels == ("a", "b")
    mixed = write(tmp_path / "mixed.jsonl", [["a"], ["b"]] * 30 + [several])
    with pytest.raises(CallError, match=r"mixed\.jsonl, row 61: the label .* is not one label: write one value a row"):
        prepare_data(train_file=mixed)
    assert prepare_data(train_file=mixed, on_bad_rows="drop").rows["train"]["bad"] == 1
    only = write(tmp_path / "only.jsonl", [several] * 30)
    with pytest.raises(SentimentError, match=r"only\.jsonl, row 1: the label .* is not one label"):
        prepare_data(train_file=only, on_bad_rows="drop")
    with pytest.raises(DataError, match=r"mixed\.jsonl, row 61: unknown label .*several labels, or an object"):
        prepare_data(train_file=lists, test_file=mixed)
