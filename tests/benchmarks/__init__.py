"""Tests of how figures are judged, kept and shown."""
