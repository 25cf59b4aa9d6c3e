"""What would the truth be? A Polish retail bank whose every response has a known cause.

actions.py      channels, actions and treatments: the catalogue as the world knows it
population.py   who the contacts are: latent traits, attributes in time, firms
names.py        the levels of the categorical attributes
seasons.py      week and year
permissions.py  consents per purpose, in time
behaviour.py    logins, page views, card payments: the events, and the true CLV
responses.py    what contacts do on their own: baseline conversions
effects.py      what a touch changes: uplift and opt-out risk
state.py        what is known of every contact at a point in time
rules.py        the catalogue's conditions and values on that state
pilot.py        the randomised pilot: choices, logged probabilities, what followed
tables.py       the raw tables as parquet
truth.py        the truth at the end of the period, kept apart
replay.py       the true profit of any plan, and draws of its outcomes
world.py        all of it, from one seed
"""
