"""From arguments and data to a trained model: plan, assembly, run."""
