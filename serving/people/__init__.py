"""What is held about one person, and how is it joined or erased?

======================== ========================================================================
`people.py`              one person in every store; visitors who became contacts
`contact_view.py`        everything held about one contact
`forgetting.py`          a contact is forgotten in the archive of plans and in what they gave out
======================== ========================================================================
"""
