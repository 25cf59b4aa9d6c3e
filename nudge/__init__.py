"""How is it started? The command line and the composition root: the only place that builds stores and hands them down.

From the door down; each folder imports only those below it.

======================== ================================================================================
`cli.py`                 the command line; `__main__.py` starts it, `plan_worker.py` runs it prepared
`commands/`              reads a command's options, calls one verb, shows the answer
`server.py`              `nudge serve`: API and console over a workspace, in one process or several
`desks/`                 what API and console ask of a workspace: models, plans, reports, leads, pages
`reports/`               what was done and what came of it: summed, compared, credited, drawn
`answers/`               what the commands print for people
`verbs/`                 what a command does, a file each: the same for the terminal, the API and a notebook
`ground/`                a workspace with its settings and stores, and the terminal
======================== ================================================================================
"""
