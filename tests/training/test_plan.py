"""The plan: every number has a reason, and the user's numbers win."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from hf_sentiment.errors import CallError
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.records.serialization import to_json
from hf_sentiment.training.plan import (
    GUARDS,
    HEAD_ALONE,
    RULES,
    Facts,
    Plan,
    duration,
    expected_seconds,
    holdout_shares,
    make_plan,
    plan_lines,
    plan_record,
    plan_warnings,
    token_percentile,
)

BERT_BASE = Facts(num_train=5000, tokens=90, max_position=512, hidden_size=768, layers=12, pooling="pooler")
SENTENCE_ENCODER = Facts(
    num_train=5000, tokens=90, max_position=512, hidden_size=384, layers=6, pooling="mean", sentence_encoder=True
)
ENGLISH_POLARITY = replace(SENTENCE_ENCODER, polarity=True, language="en", lexicons=("en",))
FEW = replace(ENGLISH_POLARITY, num_train=40, num_validation=0)


def values(facts: Facts, **said: Any) -> dict[str, Any]:
    return {name: decision.value for name, decision in make_plan(facts, said).decisions.items()}


def test_bert_base_is_trained_as_in_the_course() -> None:
    plan = make_plan(BERT_BASE, {})
    assert 2e-5 <= plan.learning_rate.value <= 3e-5
    assert plan.num_train_epochs.value == 3
    assert plan.weight_decay.value == 0.01
    assert plan.head_first.value is False
    assert plan.eval_strategy.value == "epoch"
    assert plan.early_stopping_patience.value == 2
    assert plan.metric_for_best_model is not None and plan.metric_for_best_model.value == "calibrated_loss"


def test_a_sentence_encoder_gets_its_head_first() -> None:
    assert make_plan(SENTENCE_ENCODER, {}).head_first.value is True


def test_the_users_value_wins_and_is_recorded_as_theirs() -> None:
    plan = make_plan(BERT_BASE, {"learning_rate": 5e-5, "max_length": None, "head_first": True})
    assert (plan.learning_rate.value, plan.learning_rate.by) == (5e-5, "user")
    assert (plan.head_first.value, plan.head_first.by) == (True, "user")
    assert plan.max_length.by == "plan"


def test_every_decision_has_a_reason_and_its_sources_are_listed() -> None:
    for facts in (BERT_BASE, FEW):
        plan = make_plan(facts, {})
        assert set(plan.decisions) >= {rule.name for rule in RULES} - {"metric_for_best_model"}
        assert all(decision.reason for decision in plan.decisions.values())
        shown = plan.in_use
        assert len(plan_lines(plan)) == len(shown)
        lines = plan_lines(plan, sources=True)
        named = {source for decision in shown.values() for source in decision.source.split("; ") if source}
        listed = lines[len(shown) + 1 :]
        assert len(listed) == len(named) and all(any(line.endswith(source) for line in listed) for source in named)
        assert all(f"[{number}]" in "".join(lines[: len(shown)]) for number in range(1, len(named) + 1))
        json.dumps(to_json(plan_record(plan)))


def test_the_plan_has_a_field_for_each_rule_in_its_order() -> None:
    assert [field.name for field in fields(Plan)] == ["facts", *(rule.name for rule in RULES)]


def test_texts_are_cut_where_nearly_all_of_them_end() -> None:
    assert make_plan(BERT_BASE, {}).max_length.value == 90
    assert make_plan(replace(BERT_BASE, tokens=2000), {}).max_length.value == 256
    assert make_plan(replace(BERT_BASE, tokens=60, max_position=48), {}).max_length.value == 48
    assert token_percentile(np.arange(1, 101)) == 100


def test_fewer_texts_get_more_epochs() -> None:
    epochs = [make_plan(replace(SENTENCE_ENCODER, num_train=n), {}).num_train_epochs.value for n in (200, 800, 5000)]
    assert epochs == sorted(epochs, reverse=True)


def test_a_plain_encoder_with_few_texts_needs_more_epochs_than_one_with_its_head_first() -> None:
    plain, headed = (values(replace(facts, num_train=500))["num_train_epochs"] for facts in (BERT_BASE, FEW))
    assert plain == 10 and headed == 4


def test_the_wider_the_encoder_the_lower_the_rate() -> None:
    rates = [values(replace(BERT_BASE, hidden_size=width))["learning_rate"] for width in (256, 384, 768, 1024, 1536)]
    assert rates == [1e-4, 1e-4, 2e-5, 1e-5, 1e-5]


def test_what_was_not_measured_for_a_kind_of_encoder_is_said() -> None:
    few = replace(ENGLISH_POLARITY, num_train=500)
    named = ("learning_rate", "fine_tuned_share", "num_train_epochs")
    for facts, words in (
        (few, None),
        (replace(few, layers=12), None),
        (replace(few, hidden_size=768), "not measured for a sentence encoder of 6 layers, 768 wide"),
        (replace(few, sentence_encoder=False), "not measured for a plain encoder of 6 layers, 384 wide"),
    ):
        decisions = make_plan(facts, {}).decisions
        said = [name for name in named if "not measured" in decisions[name].reason]
        # A plain encoder has no share.
        assert said == ([] if words is None else [name for name in named if words in decisions[name].reason])
        assert len(said) == (0 if words is None else 3 if facts.sentence_encoder else 2)


def test_adapters_have_learning_rates_of_their_own() -> None:
    for facts in (BERT_BASE, SENTENCE_ENCODER):
        full, lora = (make_plan(replace(facts, lora=on), {}).learning_rate.value for on in (False, True))
        assert 1e-4 <= lora <= 2e-3 and lora >= 10 * full


def test_without_evaluations_nothing_stops_early() -> None:
    plan = make_plan(BERT_BASE, {"eval_strategy": "no"})
    assert plan.early_stopping_patience.value == 0 and plan.metric_for_best_model is None
    with pytest.raises(CallError, match="--early_stopping_patience 3 needs evaluations"):
        make_plan(BERT_BASE, {"eval_strategy": "no", "early_stopping_patience": 3})


@pytest.mark.parametrize("kind", ["eval", "save", "logging"])
def test_who_says_how_many_steps_says_the_strategy(kind: str) -> None:
    decision = make_plan(BERT_BASE, {f"{kind}_steps": 10.0}).decisions[f"{kind}_strategy"]
    assert (decision.value, decision.reason, decision.by) == ("steps", f"you set --{kind}_steps 10", "user")
    assert values(BERT_BASE, **{f"{kind}_steps": 10, f"{kind}_strategy": "steps"})[f"{kind}_strategy"] == "steps"
    for wrong in (0.0, -3.0, 2.5):
        with pytest.raises(CallError, match=f"^--{kind}_steps must be a whole number, .*, got {wrong:g}$"):
            make_plan(BERT_BASE, {f"{kind}_steps": wrong})
    with pytest.raises(CallError, match=f"^--{kind}_steps 10 only counts with --{kind}_strategy steps, and not with"):
        make_plan(BERT_BASE, {f"{kind}_steps": 10, f"{kind}_strategy": "epoch"})


def test_few_labels_of_a_sentence_encoder_are_not_split() -> None:
    assert HEAD_ALONE == 200
    assert holdout_shares(199, True) == (0, 0)
    assert holdout_shares(200, True) == holdout_shares(999, True) == (0, 0.2)
    assert holdout_shares(1000, True) == holdout_shares(1999, True) == (0, 0.1)
    assert holdout_shares(200, True, watched=True) == (0.2, 0.2)
    assert holdout_shares(1000, True, watched=True) == (0.1, 0.1)
    assert holdout_shares(40, False) == (0.2, 0.2)
    assert holdout_shares(2000, True) == holdout_shares(5000, False) == (0.1, 0.1)


def test_few_labels_of_a_sentence_encoder_go_to_the_head_alone() -> None:
    few = values(FEW)
    assert (few["num_train_epochs"], few["head_first"], few["lexicon"]) == (0, True, True)
    assert (few["validation"], few["eval_strategy"], few["eval_on_start"]) == ("cross-validation", "no", False)
    assert few["early_stopping_patience"] == 0 and "metric_for_best_model" not in few
    more = values(replace(ENGLISH_POLARITY, num_train=200, num_validation=50))
    assert more["num_train_epochs"] > 0 and (more["validation"], more["eval_strategy"]) == ("split", "epoch")
    assert values(replace(BERT_BASE, num_train=40))["num_train_epochs"] > 0


def test_fine_tuning_on_few_texts_does_not_go_all_the_way_from_a_start_that_predicts() -> None:
    few = replace(ENGLISH_POLARITY, num_train=204, num_validation=52)
    assert [values(replace(few, num_train=n))["fine_tuned_share"] for n in (399, 400, 1999, 2000)] == [0.5, 0.8, 0.8, 1]
    for facts, said in (
        (replace(few, lora=True), {"lora": True}),
        (few, {"head_first": False}),
        (replace(BERT_BASE, num_train=204), {}),
    ):
        assert values(facts, **said)["fine_tuned_share"] == 1.0
    with pytest.raises(CallError, match=r"--fine_tuned_share 0\.5 mixes with the head-first model"):
        make_plan(few, {"head_first": False, "fine_tuned_share": 0.5})


def test_the_users_epochs_win_over_the_head_alone() -> None:
    plan = make_plan(FEW, {"num_train_epochs": 3.0})
    assert (plan.num_train_epochs.value, plan.num_train_epochs.by) == (3.0, "user")
    assert plan.validation.value == "none"  # only a head is judged on folds
    assert values(replace(FEW, num_train=5000), num_train_epochs=0.0)["validation"] == "cross-validation"


def test_what_is_asked_for_is_trained_however_few_the_labels() -> None:
    for facts, said in (
        (replace(FEW, lora=True), {"lora": True}),
        (FEW, {"head_first": False}),
        (FEW, {"max_steps": 20}),
    ):
        plan = make_plan(facts, said)
        assert plan.num_train_epochs.value > 0 and plan.validation.value == "none", said
    with pytest.raises(CallError, match="--num_train_epochs 0 trains the head alone"):
        make_plan(BERT_BASE, {"num_train_epochs": 0.0})


def test_what_needs_validation_texts_says_so() -> None:
    with pytest.raises(CallError, match=r"--eval_strategy epoch needs validation texts: give --validation_share 0\.2"):
        make_plan(FEW, {"eval_strategy": "epoch"})
    with pytest.raises(CallError, match=r"--early_stopping_patience 3 needs validation texts: give --validation_share"):
        make_plan(FEW, {"early_stopping_patience": 3})
    with pytest.raises(CallError, match="--eval_on_start true needs validation texts: give --validation_share"):
        make_plan(FEW, {"eval_on_start": True})


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (replace(ENGLISH_POLARITY, language="de", lexicons=()), "no sentiment lexicon for the texts' language (de)"),
        (
            replace(ENGLISH_POLARITY, language=None, lexicons=()),
            "no sentiment lexicon for the texts' language (unknown)",
        ),
        (replace(ENGLISH_POLARITY, polarity=False), "the labels are no polarities"),
        (replace(ENGLISH_POLARITY, sentence_encoder=False), "only measured for sentence encoders"),
        (replace(ENGLISH_POLARITY, lora=True), "an adapter belongs to the encoder as it was published"),
    ],
)
def test_the_lexicon_is_for_polarities_in_its_language_of_a_sentence_encoder(facts: Facts, reason: str) -> None:
    assert make_plan(ENGLISH_POLARITY, {}).lexicon.value is True
    dutch = make_plan(replace(ENGLISH_POLARITY, language="nl", lexicons=("nl",)), {})
    assert dutch.lexicon.value is True and dutch.lexicons == ("nl",) and "words (nl)" in dutch.lexicon.reason
    decision = make_plan(facts, {}).lexicon
    assert (decision.value, decision.reason) == (False, reason)
    forced = make_plan(facts, {"lexicon": True})
    assert forced.lexicon.value is True and forced.lexicons == ("en",)


def test_adapters_are_trained_where_all_weights_do_not_fit() -> None:
    large = replace(BERT_BASE, parameters=340_000_000, memory=8 * 2**30)
    plan = make_plan(large, {})
    assert plan.lora.value is True and "would not fit into memory" in plan.lora.reason
    assert plan.learning_rate.value == values(replace(BERT_BASE, lora=True))["learning_rate"]
    assert values(replace(large, memory=32 * 2**30))["lora"] is False
    refused = values(replace(large, lora=False), lora=False)
    assert refused["lora"] is False and refused["learning_rate"] == values(BERT_BASE)["learning_rate"]


def test_who_wants_macro_f1_gets_logits_adjusted() -> None:
    skewed = replace(SENTENCE_ENCODER, imbalance=9.0)
    assert values(skewed)["imbalance"] == "none"
    assert "9.0 to 1" in make_plan(skewed, {}).imbalance.reason
    assert values(replace(skewed, metric="macro_f1"))["imbalance"] == "logit_adjustment"
    assert values(replace(skewed, metric="macro_f1"), imbalance="none")["imbalance"] == "none"
    assert values(replace(skewed, metric="macro_f1", num_train=0))["imbalance"] == "none"


@pytest.mark.parametrize(
    ("facts", "said", "named"),
    [
        (BERT_BASE, {"learning_rate": 1e-2}, ["--learning_rate 0.01 is outside 1e-06 to 0.0001"]),
        (BERT_BASE, {"learning_rate": 5e-5}, []),
        (SENTENCE_ENCODER, {"learning_rate": 2e-4}, []),
        (replace(BERT_BASE, lora=True), {"learning_rate": 1e-3, "lora": True}, []),
        (BERT_BASE, {"learning_rate": 1e-9, "num_train_epochs": 90.0}, ["--learning_rate 1e-09", "--num_train_epochs"]),
        (BERT_BASE, {"weight_decay": 0.9, "layerwise_lr_decay": 0.1}, ["--layerwise_lr_decay", "--weight_decay"]),
    ],
)
def test_a_value_that_no_source_supports_gets_one_warning(facts: Facts, said: dict[str, Any], named: list[str]) -> None:
    lines = plan_warnings(make_plan(facts, said))
    assert len(lines) == len(named)
    assert all(
        line.startswith(start) and "the plan would take " in line for line, start in zip(lines, named, strict=True)
    )
    assert all(any(guard.source in line for guard in GUARDS) for line in lines)


def test_texts_of_unknown_tokens_are_warned_of() -> None:
    for share, warned in ((0.0, False), (0.01, False), (0.6, True)):
        facts = replace(BERT_BASE, unknown=share)
        assert any("60 % of the tokens are unknown" in line for line in plan_warnings(make_plan(facts, {}))) == warned


def test_a_lexicon_that_is_not_of_the_language_is_warned_of() -> None:
    facts = replace(FEW, language="de", lexicons=())
    assert ["texts' language (de)" in line for line in plan_warnings(make_plan(facts, {"lexicon": True}))] == [True]
    assert plan_warnings(make_plan(replace(facts, lexicons=("en",)), {"lexicon": True})) == []


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"unlabeled": 300, "rules_right": 0.95}, None),
        ({"unlabeled": 300, "rules_right": 0.75}, "right about 75% of the labelled ones, and gain from 90% on"),
        ({"unlabeled": 300}, "16 labelled ones that are not neutral"),
        ({"unlabeled": 0}, "fewer than 100 of them have at most 64 tokens"),
        ({"unlabeled": 300, "sentence_encoder": False}, "no lexicon (only measured for sentence encoders)"),
    ],
)
def test_texts_without_labels_are_used_or_it_is_said_why_not(changed: dict[str, Any], why: str | None) -> None:
    facts = replace(FEW, **changed)
    plan = make_plan(facts, {})
    assert plan.scored_texts == (300 if why is None else 0)
    assert ("VADER's scores of 300 texts" in plan.lexicon.reason) == (why is None)
    lines = [line for line in plan_warnings(plan) if "without labels are not used" in line]
    assert len(lines) == (why is not None) and (why or "") in "".join(lines)


def test_what_the_plan_takes_is_never_warned_of() -> None:
    for facts in (BERT_BASE, SENTENCE_ENCODER, FEW, replace(FEW, num_train=0), replace(FEW, lora=True)):
        assert plan_warnings(make_plan(facts, {})) == []


STEPS = StepTimes(texts=16, tokens=400, float32=0.3, bfloat16=0.2, seconds=0.16, slowdown=1.0)


def test_the_expected_time_grows_with_the_epochs_and_is_only_said_where_measured() -> None:
    timed = replace(ENGLISH_POLARITY, steps=STEPS, num_validation=500, taught=True)
    seconds = [expected_seconds(make_plan(timed, {"num_train_epochs": n})) for n in (0.0, 1.0, 3.0)]
    assert 0 < seconds[0] < seconds[1] < seconds[2]  # type: ignore[operator]
    assert seconds[2] - seconds[1] >= 2 * 5000 * 0.01  # type: ignore[operator] # two epochs at 10 ms a text
    assert expected_seconds(make_plan(ENGLISH_POLARITY, {})) is None
    few = replace(FEW, steps=STEPS, taught=True)
    assert 0 < expected_seconds(make_plan(few, {})) < 1  # type: ignore[operator]
    assert [duration(s) for s in (0.2, 40, 300, 9000)] == ["1 s", "40 s", "5 min", "2.5 h"]


def test_processes_share_the_texts_and_exchange_their_gradients() -> None:
    alone = replace(ENGLISH_POLARITY, steps=STEPS, taught=True, num_validation=0)
    two = replace(alone, processes=2, exchange=0.04)
    one, half, whole = (
        expected_seconds(make_plan(facts, {"num_train_epochs": 3.0}))
        for facts in (alone, replace(two, exchange=0.0), two)
    )
    steps = 3 * alone.num_train / STEPS.texts / 2
    assert half == pytest.approx(one / 2)  # type: ignore[operator]
    assert whole == pytest.approx(half + 0.04 * steps)  # type: ignore[operator]


def test_the_lexicons_time_is_only_in_it_where_it_has_yet_to_be_taught() -> None:
    lines, times = {}, {}
    for taught in (False, True):
        facts = replace(FEW, steps=STEPS, taught=taught)
        plan = make_plan(facts, {})
        lines[taught], times[taught] = plan_lines(plan)[-1], expected_seconds(plan)
    assert times[False] > times[True] + 30  # type: ignore[operator]
    assert "the lexicon included" in lines[False] and "lexicon" not in lines[True]


def test_on_a_busy_machine_the_plan_says_so_and_how_long_it_takes_then() -> None:
    free, busy = (replace(SENTENCE_ENCODER, steps=replace(STEPS, slowdown=slowdown)) for slowdown in (1.1, 6.0))
    said = [plan_lines(make_plan(facts, {}))[-1] for facts in (free, busy)]
    assert "other programs" not in said[0]
    assert "when its cores are free; other programs want them now" in said[1] and "6.0 times" in said[1]
    assert expected_seconds(make_plan(free, {})) == expected_seconds(make_plan(busy, {}))


def test_what_is_not_trained_has_no_learning_rate() -> None:
    idle = {"learning_rate", "weight_decay", "per_device_train_batch_size", "warmup_steps", "eval_strategy", "bf16"}
    for facts in (FEW, replace(FEW, num_train=0)):
        facts = replace(facts, steps=STEPS, taught=True)
        plan = make_plan(facts, {"weight_decay": 0.1})
        record, lines = plan_record(plan).decisions, "\n".join(plan_lines(plan))
        assert not record.keys() & (idle - {"weight_decay"}) and "learning_rate" not in lines
        assert record["weight_decay"].by == "user" and record["lexicon"].value is True
    trained = plan_record(make_plan(ENGLISH_POLARITY, {})).decisions
    assert idle <= trained.keys()


def test_labels_are_smoothed_unless_enough_validation_texts_tell_a_temperature_of_many() -> None:
    for texts, calibrate, smoothing in ((0, True, 0.1), (16, True, 0.1), (300, True, 0.0), (300, False, 0.1)):
        facts = replace(SENTENCE_ENCODER, num_validation=texts, calibrate=calibrate)
        assert values(facts)["label_smoothing_factor"] == smoothing, (texts, calibrate)
        assert values(replace(facts, num_train=1000))["label_smoothing_factor"] == 0.1


def test_who_says_when_to_stop_wants_the_best_weights() -> None:
    facts = replace(SENTENCE_ENCODER, num_validation=400)
    reasons = [make_plan(facts, {"early_stopping_patience": said}).keep_best.reason for said in (None, 0, 3)]
    assert ["you set --early_stopping_patience" in reason for reason in reasons] == [False, False, True]


def test_a_validation_file_changes_nothing_of_how_few_texts_are_trained_on() -> None:
    without, few, many = (
        values(replace(SENTENCE_ENCODER, num_train=1000, num_validation=texts)) for texts in (0, 100, 400)
    )
    watching = {"validation", "eval_strategy", "metric_for_best_model", "keep_best", "early_stopping_patience"}
    for given in (few, many):
        assert {name for name in given if given[name] != without.get(name)} == watching
        assert given["keep_best"] is True and given["fine_tuned_share"] == 0.8 and given["eval_on_start"] is False


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"), [(0.4, 0.2, True), (0.2, 0.4, False), (0.2, 0.19, False), (0.2, None, False)]
)
def test_a_cpu_takes_bfloat16_where_it_is_faster(float32: float, bfloat16: float | None, expected: bool) -> None:
    facts = replace(
        SENTENCE_ENCODER, bfloat16=bfloat16 is not None, steps=replace(STEPS, float32=float32, bfloat16=bfloat16)
    )
    decision = make_plan(facts, {}).bf16
    assert decision.value is expected
    if bfloat16 is not None:
        assert f"{1000 * bfloat16:.0f} ms in bfloat16 and {1000 * float32:.0f} ms in float32" in decision.reason
    assert values(facts, bf16=not expected)["bf16"] is not expected


def test_another_device_takes_bfloat16_where_it_has_it_and_float16_is_not_asked_for() -> None:
    native = replace(SENTENCE_ENCODER, device="cuda", bfloat16=True)
    assert values(native)["bf16"] is True and values(replace(native, bfloat16=False))["bf16"] is False
    assert values(replace(native, fp16=True), fp16=True)["bf16"] is False
