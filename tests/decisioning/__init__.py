"""How do we choose? Laws by Hypothesis, edges by hand."""
