"""What do API and console ask of a workspace? Each desk is one of the Protocols of `serving/ports/`.

======================== ================================================================================
`console.py`             the workspace as the console looks at it
`what_if_beside.py`      a plan under other limits beside that of now; `limits_file.py`: the catalogue gets them
`plans.py`               plans as jobs, and their files
`plan_jobs.py`           one job at a time; `plan_processes.py`: a process that is ready for the next
`models.py`              registered models, through the same gate as the commands
`reports.py`             the measured reports
`leads.py`               leads
======================== ================================================================================
"""
