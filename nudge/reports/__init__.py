"""What did marketing bring in?

======================== ================================================================================
`reporting.py`           `nudge report`: a report by its name, for the terminal, as JSON or as a page
`roi.py`                 by comparison and by attribution; `channels.py`, `goals.py`, `segments.py`, `models.py`, `data.py`: the others
`worth.py`               what contacting was worth against control groups; `crediting.py`: attribution
`facts.py`               what was done and what came of it, as tables; `tallies.py`, `distinct.py`: their sums
`periods.py`             `--period`; `goals_file.py`: goals.yaml
`sections.py`            what a report says to people; `page.py`, `funnel_page.py`: the same as one page, with the console's pictures
======================== ================================================================================
"""
