"""Trainer callbacks that work with any `transformers.Trainer` and any model, in any order, each without the others."""
