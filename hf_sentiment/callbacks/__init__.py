"""Callbacks for any `transformers.Trainer` and any model."""
