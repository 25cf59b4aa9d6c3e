"""Who gets which action, within the budgets?

======================== ============================================================================
`population.py`          a whole population and what is known of it, a chunk at a time
`planner.py`             it is planned in the same stages as one contact
`crew.py`                what a plan is made of part by part, done by several processes
`file_shelf.py`          offers in files while a plan is made, so that memory does not grow with them
`pieces.py`              some rows of a plan by themselves, and the decisions that they are
`publication.py`         a plan becomes binding: decisions kept, prices handed to real time
`archive.py`             what a plan was made from, to make its decisions again
`audiences.py`           plan files and audiences per channel; `files.py`: read back
`staging.py`             a folder appears whole or not at all
`funnel.py`              the population's funnel as one document; `segment_map.py`: its four segments
`offers.py`              for whom nothing good is on offer; the four segments of uplift
======================== ============================================================================
"""
