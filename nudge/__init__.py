"""How is it started? The command line and the composition root: the only place that builds stores and hands them down.

- `cli.py`: the command line, from `cli_learning.py` (init to promote) and `cli_deciding.py` (decide to report) over `cli_options.py`
- `terminal.py` and `show.py`: how the commands speak; `show_training.py` and `show_plan.py`: their longer answers
- `config.py`: nudge.yaml as typed values; `yaml_files.py` reads the files; `data_state.py`: what was ingested and built
- `workspace.py`: a workspace with its stores; `features_ready.py`: features built and materialised when they are needed
- `show_decision.py`: an explained decision; `reporting.py` (report), `show_reports.py` and `funnel_page.py`: its tables and its page
- one file a command: `examples.py` (init), `ingesting.py`, `training_command.py`, `deciding.py`, `planning.py`,
  `remembering.py` (replay, suppress), `server.py` (serve)
- `evaluating.py` (evaluate, promote, rollback) over `evidence.py` and `ledger_evidence.py`: what challengers are compared on;
  `watching.py`: drift, kept promises, starved learning; `show_evaluation.py`: their answers
- `ledger_events.py`: events of the ledger beside the ingested ones
- `outcome_files.py` (ingest-outcomes): what orchestration tools report by file; `reported_files.py` reads such files
- `cli_webhooks.py` (webhooks): what goes out because of triggers
- `people.py`: one person in every store: erased, exported, joined; `cli_ledger.py` and `show_ledger.py`: the commands about the ledger
- `ledger_export.py` (export-ledger) over `ledger_parts.py`: the ledger as Parquet by table and day, for analysts and reports
- `leads.py` (leads): scored, handed over, followed; `lead_files.py`: their files; `cli_leads.py` and `show_leads.py`: the commands;
  `leads_desk.py`: over HTTP
- `facts.py`, `tallies.py` with `distinct.py`, `worth.py`, `crediting.py`: what was done and what came of it, summed, compared and credited;
  `periods.py` (`--period`), `goals_file.py` (goals.yaml); `report_roi.py`, `report_channels.py`, `report_goals.py`,
  `report_segments.py`, `report_models.py`, `report_data.py`: the reports; `report_sections.py`, `report_charts.py` and `report_page.py`:
  what they say to people; `drawing.py`: pictures in the page's own ink; `report_desk.py`: over HTTP
- `plan_desk.py` over `plan_jobs.py` and `plan_process.py`: plans made in the background for the API; `what_if.py`: plans that are only
  asked about
- `cli_keys.py`: the commands about API keys
- `models_desk.py`: registered models as the API shows and changes them; `console_desk.py`: the workspace as the console looks at it, with
  `limits_file.py` (other limits for catalog.yaml) and `what_if_beside.py` (a plan under other limits beside that of now)
- `snapshot_source.py`: what serving swaps without a restart
- `demo.py`: the whole job once through; `judging.py`: what each policy truly earned
"""
