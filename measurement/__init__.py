"""What was it worth?

Each measure is a per-row quantity first, then a number, then an interval: so that every figure can be sliced, plotted and doubted.

===================== ===========================================================================================
``arrays.py``         columns of one length, without NaN: what every measure is given
``intervals.py``      a mean with an interval: normal, bootstrap, empirical Bernstein
``off_policy.py``     what a policy would have earned, from what another one logged: IPS, SNIPS, DM, DR
``uplift_curves.py``  does the ranking by uplift find those who respond because of us? Qini, uplift at a share
===================== ===========================================================================================

Pure: arrays in, numbers out; the random generator is an argument.
"""
