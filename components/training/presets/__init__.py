"""One file an experiment; each holds RECIPE with only what differs from the defaults."""
