"""From a source to labelled, checked and split data: `prepare_data` of `prepare` goes the whole way.

By these steps: `sources` reads, `labels` finds the rule of the labels and applies it, `splits` divides, `audit` checks;
`tokenization` and `augmentation` come after.
"""
