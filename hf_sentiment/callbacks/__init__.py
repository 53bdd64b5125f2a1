"""Trainer callbacks that work with any `transformers.Trainer` and any model."""
