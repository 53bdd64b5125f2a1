"""The Hub: model cards from the records of a run, and publishing a run whole and verified."""
