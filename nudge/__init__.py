"""How is it started? The command line and the composition root: the only place that builds stores and hands them down.

- `config.py`: nudge.yaml as typed values; `yaml_files.py` reads the files
- `workspace.py`: a workspace with its stores; `snapshot_source.py`: what serving swaps without a restart
- `examples.py`: `nudge init`; `planning.py`: `nudge plan`; `demo.py`: `nudge demo`; `server.py`: `nudge serve`
- `cli.py`: the commands; `terminal.py`: how they speak
"""
