"""A report to hand on: one HTML file with everything that is known of a run, or of an evaluation."""
