"""The estimators against simulated truth, published figures and the laws they must keep."""
