"""The console: what can a marketer see and change without writing a request?

Pages rendered here from what the service and its desks answer. Nothing on them is loaded from elsewhere, and they work without a script.

- `console.py`: the service, its ports and the figures in one hand
- `figures.py`: figures that take longer than a page may, made in the background and shown with their age
- `words.py`: numbers, names and times as people read them; `bars.py`: bars inside tables
- `charts.py` with `charts_of_people.py`: the pictures, of `nudge report --html` as well; `estimates.py`, `drawing.py`: how they are made
- `pages.py`: templates to pages, with the headers that let nothing in from outside; `forms.py`: what a form sends, and whether it is ours
- a page is a file that gathers what it shows: `overview.py`, `audiences.py` with `population.py` (everybody, in groups), `contact.py` with
  `decision.py` (a decision in words), `actions.py`, `models.py`, `channels.py`, `leads.py`, `health.py`
- `routes.py` (looking) and `routes_changes.py` (changing): read, call one of these, answer
- `templates/`, `static/`: what the browser gets
"""
