"""Training: arguments, the plan (numbers from data), head-first optimisation, and the run that assembles it all."""
