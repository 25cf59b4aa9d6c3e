"""What does Nudge reach, beside what others reach? Programs that measure, and the table they fill.

- `__main__` runs them: `python -m benchmarks [NAME]`
- `suite` lists them
- `results` is what one figure is, and how figures are kept in `results.json` and in the tables of `README.md`
- `small_effects` why ranking by response can earn less than silence
"""
