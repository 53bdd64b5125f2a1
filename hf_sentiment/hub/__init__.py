"""The Hub: model cards."""
