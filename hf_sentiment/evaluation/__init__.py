"""Evaluation: metrics with intervals, calibration, baselines and the report."""
