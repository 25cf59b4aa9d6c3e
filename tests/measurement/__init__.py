"""Measures against simulated truth, by hand, and by law."""
