"""The overfitting test: its error rate, its power, its levels, its state, and its messages."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hf_sentiment.callbacks.gap_test import GapLevel, GapVerdict, OverfittingGapTest
from hf_sentiment.callbacks.gap_test.statistics import RiseTest, gap_interval, null_means, pooled_skewness
from hf_sentiment.errors import CallError

Array = np.ndarray[Any, Any]


def plateau(seed: int, texts: int, evaluations: int, sigma: float = 0.14) -> Array:
    """Losses [evaluations + 1, texts] whose expectation is the same at each evaluation, in each text."""
    generator = np.random.default_rng(seed)
    steps = sigma * generator.normal(size=(evaluations, texts)) - sigma**2 / 2
    base = 0.5 * generator.exponential(size=texts)
    return base * np.exp(np.vstack([np.zeros(texts), np.cumsum(steps, axis=0)]))


def training(seed: int, texts: int, evaluations: int, rise: float, misread: float = 0.2) -> tuple[Array, Array, Array]:
    """Probe losses, validation losses, correct: both fall for a third of the run, then validation rises by `rise`."""
    generator = np.random.default_rng(seed)
    time_ = np.arange(evaluations + 1) / evaluations
    wrong = generator.random(texts) < misread
    size = generator.gamma(2.0, 0.5, size=texts)
    late = np.clip(time_ - 1 / 3, 0, None)[:, None] * 1.5
    drift = np.where(wrong, size * (rise + 0.1) / misread, -size * 0.1 / (1 - misread)) * late
    fall = 0.35 * np.exp(-8 * time_)[:, None]
    validation = 0.35 + 0.1 * size + fall + drift
    probe = (0.7 * np.exp(-3 * time_))[:, None] * generator.uniform(0.9, 1.1, size=60)
    correct = ~(wrong & (late * rise * size > 0.05)) & (generator.random(texts) < 0.97)
    return probe, np.maximum(validation, 1e-3), correct


def feed(test: OverfittingGapTest, probe: Array, validation: Array, correct: Array | None = None) -> list[GapVerdict]:
    """The verdicts of a run whose evaluations are at steps 0, 10, 20, …"""
    return [
        test.update(
            step=10 * index,
            train_losses=probe[index],
            validation_losses=validation[index],
            validation_correct=None if correct is None else correct[index],
        )
        for index in range(len(validation))
    ]


def falling(evaluations: int, texts: int = 60) -> Array:
    """Losses of a probe that is learnt by heart."""
    return np.geomspace(0.7, 0.03, evaluations + 1)[:, None] * np.linspace(0.9, 1.1, texts)


@pytest.mark.parametrize("texts,evaluations", [(50, 3), (50, 10), (200, 10)])
def test_false_alarms_on_a_plateau_stay_at_alpha(texts: int, evaluations: int) -> None:
    runs = 80
    alarms = 0
    for seed in range(runs):
        verdicts = feed(OverfittingGapTest(0.05, evaluations), falling(evaluations), plateau(seed, texts, evaluations))
        alarms += any(verdict.level.is_alarm for verdict in verdicts)
    assert alarms <= 9  # a true rate of 5 % gives more than 9 of 80 about once in 100 times


def test_false_alarms_stay_at_alpha_where_losses_are_redrawn() -> None:
    runs, alarms = 80, 0
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        scores = np.sqrt(0.9) * generator.normal(size=50) + np.sqrt(0.1) * generator.normal(size=(11, 50))
        losses = -0.5 * stats.norm.logsf(scores)
        alarms += any(v.level.is_alarm for v in feed(OverfittingGapTest(0.05, 10), falling(10), losses))
    assert alarms <= 9


@pytest.mark.parametrize("lowest_at", ["first", "last"])
def test_no_alarm_where_the_lowest_loss_is_the_first_or_last(lowest_at: str) -> None:
    runs, alarms = 60, 0
    for seed in range(runs):
        _, validation, _ = training(seed, 100, 8, rise=0.0)
        validation = np.stack([validation[0] * (1 - 0.05 * index) for index in range(9)])
        if lowest_at == "first":
            validation = np.repeat(validation[:1], 9, axis=0) + 0.01 * np.random.default_rng(seed).normal(size=(9, 100))
            validation[1:] += 0.0005  # less than the tolerance
        verdicts = feed(OverfittingGapTest(0.05, 8), falling(8), validation)
        alarms += any(verdict.level.is_alarm for verdict in verdicts)
        if lowest_at == "last":
            assert verdicts[-1].best_step == 80
    assert alarms <= 7


def test_a_clear_rise_is_found_soon_and_called_overfitting() -> None:
    probe, validation, correct = training(1, 300, 12, rise=0.3)
    verdicts = feed(OverfittingGapTest(0.05, 12), probe, validation, correct)
    alarms = [verdict for verdict in verdicts if verdict.level.is_alarm]
    assert alarms and verdicts[-1].level is GapLevel.OVERFITTING
    assert "accuracy" in verdicts[-1].reason and alarms[0].p_value <= 0.05
    assert verdicts[-1].worsening_interval[0] > 0.01 and verdicts[-1].gap_interval[0] > 0
    low, high = verdicts[-1].worsening_interval
    assert low < verdicts[-1].worsening < high
    assert 0 < verdicts[-1].best_step < 120


def test_worse_loss_with_the_same_accuracy_is_overconfidence() -> None:
    probe, validation, correct = training(1, 300, 12, rise=0.3)
    same = np.repeat(correct[:1], 13, axis=0)
    assert feed(OverfittingGapTest(0.05, 12), probe, validation, same)[-1].level is GapLevel.OVERCONFIDENT
    without = feed(OverfittingGapTest(0.05, 12), probe, validation)[-1]
    assert without.level is GapLevel.OVERCONFIDENT and "accuracy was not given" in without.reason


def test_divergence_is_not_called_overfitting() -> None:
    _, validation, correct = training(1, 300, 12, rise=0.3)
    last = feed(OverfittingGapTest(0.05, 12), falling(12)[::-1], validation, correct)[-1]
    assert last.level is GapLevel.OVERCONFIDENT and "has not improved" in last.reason


def test_a_late_rise_is_found_when_the_probe_was_learnt_by_heart_early() -> None:
    for seed in range(20):
        validation = plateau(seed, 200, 20, 0.02)
        validation[:10] += np.linspace(0.3, 0.0, 10)[:, None]
        validation[15:] += np.linspace(0.05, 0.2, 6)[:, None]
        probe = falling(20)
        probe[4:] = 1e-4
        assert feed(OverfittingGapTest(0.05, 20), probe, validation)[-1].level.is_alarm


def test_the_verdict_hardly_depends_on_the_seed() -> None:
    probe, validation, _ = training(1, 60, 10, rise=0.05)
    last = [feed(OverfittingGapTest(0.05, 10, seed=seed), probe, validation)[-1].p_value for seed in range(6)]
    assert min(last) > 0.001 and max(last) - min(last) < 0.25 * float(np.mean(last))


def test_power_beats_a_paired_t_test_with_bonferroni() -> None:
    found = peer = 0
    for seed in range(40):
        probe, validation, _ = training(seed, 60, 10, rise=0.06)
        found += any(verdict.level.is_alarm for verdict in feed(OverfittingGapTest(0.05, 10), probe, validation))
        for index in range(1, 11):
            difference = validation[index] - validation[int(validation[: index + 1].mean(axis=1).argmin())]
            spread = difference.std(ddof=1)
            if spread > 0 and stats.t.sf(difference.mean() / spread * np.sqrt(60), 59) < 0.005:
                peer += 1
                break
    assert found >= peer + 4


def test_ordinary_gap_leakage_and_underfitting_are_told_apart() -> None:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.5, 0.9, size=200)
    flat = np.repeat(base[None], 7, axis=0)
    fall = np.geomspace(1, 0.5, 7)[:, None]
    probe = generator.uniform(0.5, 0.9, size=150)
    gap = feed(OverfittingGapTest(0.05, 6), probe * fall**3, flat * fall)
    assert gap[0].level is GapLevel.OK and gap[-1].level is GapLevel.GAP and gap[-1].gap > 0
    leak = feed(OverfittingGapTest(0.05, 6), probe * fall, flat * fall**3)
    assert leak[-1].level is GapLevel.LEAKAGE and leak[-1].gap_interval[1] < 0
    stuck = feed(OverfittingGapTest(0.05, 6), np.full((7, 150), 0.69), np.full((7, 200), 0.692))
    assert stuck[-1].level is GapLevel.UNDERFITTING and stuck[1].level is not GapLevel.UNDERFITTING


def test_chance_is_read_from_the_number_of_classes() -> None:
    three = feed(OverfittingGapTest(0.05, 4), np.full((5, 90), 1.12), np.full((5, 90), 1.11))
    assert three[-1].level is GapLevel.UNDERFITTING
    told = feed(OverfittingGapTest(0.05, 4, chance_loss=2.0), np.full((5, 90), 1.12), np.full((5, 90), 1.11))
    assert told[-1].level is not GapLevel.UNDERFITTING


def test_state_survives_json_at_every_point() -> None:
    probe, validation, correct = training(3, 80, 8, rise=0.1)
    whole = feed(OverfittingGapTest(0.05, 8, seed=5), probe, validation, correct)
    for cut in range(1, 9):
        test = OverfittingGapTest(0.05, 8, seed=5)
        feed(test, probe[:cut], validation[:cut], correct[:cut])
        test = OverfittingGapTest.from_state_dict(json.loads(json.dumps(test.state_dict())))
        for index in range(cut, 9):
            verdict = test.update(
                step=10 * index,
                train_losses=probe[index],
                validation_losses=validation[index],
                validation_correct=correct[index],
            )
            assert verdict == whole[index]
    assert json.loads(json.dumps(dataclasses.asdict(whole[-1])))["level"] == whole[-1].level.value


def test_shares_of_tokens_serve_as_accuracy() -> None:
    probe, validation, correct = training(1, 300, 12, rise=0.3)
    shares = 0.3 + 0.69 * correct
    verdicts = feed(OverfittingGapTest(0.05, 12), probe, validation, shares)
    assert verdicts[-1].level is GapLevel.OVERFITTING and "accuracy -" in verdicts[-1].reason
    test = OverfittingGapTest(0.05, 12)
    feed(test, probe[:-1], validation[:-1], shares[:-1])
    test = OverfittingGapTest.from_state_dict(json.loads(json.dumps(test.state_dict())))
    last = test.update(
        step=120, train_losses=probe[-1], validation_losses=validation[-1], validation_correct=shares[-1]
    )
    assert last == verdicts[-1]


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(CallError, match="resume with the version"):
        OverfittingGapTest.from_state_dict(OverfittingGapTest().state_dict() | {"version": 99})


def test_global_random_state_is_neither_used_nor_changed() -> None:
    probe, validation, _ = training(4, 60, 6, rise=0.1)
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    one = feed(OverfittingGapTest(0.05, 6), probe, validation)
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(2)
    assert one == feed(OverfittingGapTest(0.05, 6), probe, validation)


@pytest.mark.parametrize("planned", [3, 40])
def test_more_or_fewer_evaluations_than_planned(planned: int) -> None:
    probe, validation, correct = training(1, 300, 12, rise=0.3)
    verdicts = feed(OverfittingGapTest(0.05, planned), probe, validation, correct)
    assert verdicts[-1].level is GapLevel.OVERFITTING
    alarms = sum(
        any(v.level.is_alarm for v in feed(OverfittingGapTest(0.05, 3), falling(12), plateau(seed, 80, 12)))
        for seed in range(60)
    )
    assert alarms <= 7


def test_without_an_evaluation_before_training() -> None:
    probe, validation, correct = training(1, 300, 12, rise=0.3)
    test = OverfittingGapTest(0.05, 12)
    for index in range(1, 13):
        verdict = test.update(
            step=index,
            train_losses=probe[index],
            validation_losses=validation[index],
            validation_correct=correct[index],
        )
    assert verdict.level is GapLevel.OVERFITTING
    assert verdict.gap == pytest.approx(validation[-1].mean() - probe[-1].mean(), abs=1e-5)


def test_ties_and_constant_losses_are_no_evidence() -> None:
    same = np.full((6, 40), 0.3)
    for verdict in feed(OverfittingGapTest(0.05, 5), same, same, np.ones((6, 40), dtype=bool)):
        assert verdict.level is GapLevel.OK and verdict.worsening == 0 and np.isfinite(verdict.worsening_interval).all()
    jump = same.copy()
    jump[-1] += 0.2
    assert feed(OverfittingGapTest(0.05, 5), same, jump)[-1].level is GapLevel.OVERCONFIDENT


def test_a_rise_too_small_to_matter_is_no_alarm() -> None:
    rising = np.full((6, 40), 0.3) + 0.0015 * np.arange(6)[:, None]
    assert not any(v.level.is_alarm for v in feed(OverfittingGapTest(0.05, 5), falling(5), rising))
    assert feed(OverfittingGapTest(0.05, 5, minimum_rise=0.0), falling(5), rising)[-1].level.is_alarm


def test_few_texts_never_alarm_and_say_so() -> None:
    verdicts = feed(OverfittingGapTest(0.05, 5), np.full((6, 40), 0.3), np.linspace(0.3, 2, 6)[:, None] * np.ones(10))
    assert not any(verdict.level.is_alarm for verdict in verdicts)
    assert "too few" in verdicts[0].reason


@pytest.mark.parametrize(
    "change,message",
    [
        ({"validation_losses": np.full(50, np.nan)}, "50 losses that are NaN or infinite.*lower the learning rate"),
        ({"train_losses": np.full(40, np.inf)}, "train_losses at step 10"),
        ({"validation_losses": np.ones(49)}, "49 texts, earlier evaluations 50; evaluate the same texts"),
        ({"train_losses": np.ones((40, 2))}, r"shape \(40, 2\); give one loss a text"),
        ({"step": 0}, "step 0 comes after step 0"),
        ({"validation_correct": None}, "missing; give it at every evaluation or at none"),
        (
            {"validation_correct": np.full(50, 2)},
            "outside 0 to 1; give true or false, or a share from 0 to 1, for each of",
        ),
        ({"validation_correct": np.full(50, np.nan)}, "outside 0 to 1"),
        ({"validation_correct": np.ones(49)}, r"shape \(49,\); give true or false, or a share"),
    ],
)
def test_wrong_calls_are_errors_that_change_nothing(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "step": 0,
        "train_losses": np.ones(40),
        "validation_losses": np.linspace(0.5, 1.5, 50),
        "validation_correct": np.ones(50, dtype=bool),
    }
    test = OverfittingGapTest()
    test.update(**good)
    before = json.dumps(test.state_dict())
    with pytest.raises(CallError, match=message) as caught:
        test.update(**(good | {"step": 10} | change))
    assert "\n" not in str(caught.value)
    assert json.dumps(test.state_dict()) == before
    test.update(**(good | {"step": 10}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"alpha": 0.0},
        {"alpha": 0.9},
        {"planned_evaluations": 0},
        {"minimum_rise": -1.0},
        {"chance_loss": 0.0},
        {"seed": -1},
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=next(iter(arguments))):
        OverfittingGapTest(**arguments)


def test_simulated_runs_have_the_covariance_of_the_means() -> None:
    values = plateau(0, 300, 4)
    centered = values - values.mean(axis=1, keepdims=True)
    expected = np.cov(values) / 300
    assert np.allclose(np.cov(null_means(centered, 0).T), expected, rtol=0.15)
    assert np.allclose(null_means(centered, 0)[:, :3], null_means(centered[:3], 0))


def test_pooled_skewness_has_the_sign_of_the_later_minus_the_earlier() -> None:
    growth = np.random.default_rng(0).exponential(size=4000) - 1
    centered = np.arange(4)[:, None] * growth
    assert 1.5 < pooled_skewness(centered, np.arange(3)) < 2.2
    assert pooled_skewness(-centered, np.arange(3)) == pytest.approx(-pooled_skewness(centered, np.arange(3)))
    assert pooled_skewness(np.zeros((3, 40)), np.arange(2)) == 0.0


def test_more_evaluations_than_texts() -> None:
    test = RiseTest(0.05)
    generator = np.random.default_rng(0)
    results = [test.update(generator.exponential(size=25), index / 40) for index in range(41)]
    assert all(np.isfinite(result.p_value) for result in results)


def test_gap_interval_covers() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        _, low, high = gap_interval(generator.exponential(size=100), generator.exponential(size=150), 0.9)
        held += low <= 0 <= high
    assert 0.85 <= held / 400 <= 0.95
