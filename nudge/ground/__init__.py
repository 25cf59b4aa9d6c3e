"""Where are we? A workspace, what it is set to, and whom we speak to.

======================== ================================================================================
`workspace.py`           a workspace with its stores: the only place that builds them
`config.py`              nudge.yaml as typed values; `yaml_files.py`: how it and the catalogue are read
`data_state.py`          what was ingested and built
`moments.py`             times as people write them
`terminal.py`            results on stdout, everything else on stderr
======================== ================================================================================
"""
