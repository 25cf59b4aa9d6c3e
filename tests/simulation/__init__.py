"""Tests of the simulated bank."""
