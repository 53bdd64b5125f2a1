"""Inference: one predictor for lists, files and streams."""
