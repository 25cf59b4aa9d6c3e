"""What was it worth?

Each measure is a per-row quantity first, then a number, then an interval: so that every figure can be sliced, plotted and doubted.

========================== ===========================================================================================
``arrays.py``              columns of one length, without NaN: what every measure is given
``intervals.py``           a mean with an interval: normal, bootstrap, by cluster, empirical Bernstein
``sequences.py``           intervals that hold however often one looks
``off_policy_log.py``      a log as one policy sees it, and how much of it speaks about that policy
``off_policy.py``          what a policy would have earned, from what another one logged, row by row: IPS to DR with shrinkage
``policy_values.py``       the value of a policy, its gain over another, the money of a plan
``lift.py``                treated against control: what contacting was worth a contact and in all, of the programme and of each layer
``cuped.py``               less noise from what was known before
``launching.py``           what a comparison can show, told before it is made; groups that are not what they were meant to be
``uplift_curves.py``       does the ranking by uplift find those who respond because of us? Qini, uplift at a share
``touch_paths.py``         paths of touches: which channels a contact met, in order, and how often that ended in a sale
``attribution.py``         whose sale was it? First, last, linear, position-based, time decay
``attribution_markov.py``  what would be lost without a channel? Removal effects of a Markov chain of any order
``attribution_shapley.py`` a fair share of what channels sold together
``chain.py``               was it marketing's sale? Targeted, consumed, lead, handed over, sold, in that order
``firms.py``               a sale to a firm counts for the people who were touched there, once
``roi.py``                 the figures of a business under four heads: value, performance, response, activity
``content.py``             does content go with buying? B / A
``goals.py``               are we getting there? Progress, forecast and status of a goal; what goals and figures miss of each other
``channels.py``            which channel would you drop?
``segments.py``            sizes, overlaps, movements and lift of segments
``value_finder.py``        for whom is nothing good on offer, and what kind of action is missing?
========================== ===========================================================================================

Pure: arrays in, numbers out; the random generator is an argument.
"""
