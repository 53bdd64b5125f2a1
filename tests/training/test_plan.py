"""The plan: every number has a reason, and the user's numbers win."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hf_sentiment.errors import CallError
from hf_sentiment.training.plan import RULES, Facts, make_plan, plan_lines, token_percentile

BERT_BASE = Facts(num_train=5000, tokens=90, max_position=512, hidden_size=768, pooling="pooler")
SENTENCE_ENCODER = Facts(num_train=5000, tokens=90, max_position=512, hidden_size=384, pooling="mean")


def test_bert_base_is_trained_as_in_the_course() -> None:
    plan = make_plan(BERT_BASE, {})
    assert 2e-5 <= plan["learning_rate"].value <= 3e-5
    assert plan["num_train_epochs"].value == 3
    assert plan["weight_decay"].value == 0.01
    assert plan["head_first"].value is False
    assert plan["eval_strategy"].value == "epoch"
    assert plan["early_stopping_patience"].value == 2
    assert plan["metric_for_best_model"].value == "calibrated_loss"


def test_a_sentence_encoder_gets_its_head_first() -> None:
    assert make_plan(SENTENCE_ENCODER, {})["head_first"].value is True


def test_the_users_value_wins_and_is_recorded_as_theirs() -> None:
    plan = make_plan(BERT_BASE, {"learning_rate": 5e-5, "max_length": None, "head_first": True})
    assert (plan["learning_rate"].value, plan["learning_rate"].by) == (5e-5, "user")
    assert (plan["head_first"].value, plan["head_first"].by) == (True, "user")
    assert plan["max_length"].by == "plan"


def test_every_decision_has_a_reason() -> None:
    plan = make_plan(BERT_BASE, {})
    assert list(plan) == [rule.name for rule in RULES]
    assert all(decision.reason for decision in plan.values())
    assert len(plan_lines(plan)) == len(plan)


def test_texts_are_cut_where_nearly_all_of_them_end() -> None:
    assert make_plan(BERT_BASE, {})["max_length"].value == 90
    assert make_plan(replace(BERT_BASE, tokens=2000), {})["max_length"].value == 256
    assert make_plan(replace(BERT_BASE, tokens=60, max_position=48), {})["max_length"].value == 48
    assert token_percentile(range(1, 101)) == 100


def test_fewer_texts_get_more_epochs() -> None:
    epochs = [make_plan(replace(SENTENCE_ENCODER, num_train=n), {})["num_train_epochs"].value for n in (200, 800, 5000)]
    assert epochs == sorted(epochs, reverse=True)


def test_adapters_have_learning_rates_of_their_own() -> None:
    for facts in (BERT_BASE, SENTENCE_ENCODER):
        full, lora = (make_plan(replace(facts, lora=on), {})["learning_rate"].value for on in (False, True))
        assert 1e-4 <= lora <= 2e-3 and lora >= 10 * full


def test_without_evaluations_nothing_stops_early() -> None:
    plan = make_plan(BERT_BASE, {"eval_strategy": "no"})
    assert plan["early_stopping_patience"].value == 0 and "metric_for_best_model" not in plan
    with pytest.raises(CallError, match="--early_stopping_patience 3 needs evaluations"):
        make_plan(BERT_BASE, {"eval_strategy": "no", "early_stopping_patience": 3})
