"""How does serving stand?

======================== =======================================================================================
`vitals.py`              what those who watch it ask
`tally.py`               what has happened and is not counted yet
`metrics.py`             metrics for Prometheus; `metric_sums.py`: what was counted, of one worker or of several
======================== =======================================================================================
"""
