"""What do the catalogue's SQL expressions mean? Checked when the catalogue loads, compiled once, one answer for one row and a million.

- `expressions.py`: conditions and values compiled against a feature contract
- `compiler.py` over the tables `operators.py` and `functions.py`, whose pieces stand in `nodes.py`
- down to arrays in `sql_values.py`, to one row in `sql_scalars.py`, with `date_parts.py`
- `findings.py`: all that is wrong with a catalogue's rules; `shared.py`: which treatments each rule concerns
"""

from decisioning.rules.expressions import Expression, Rows, RuleBook, compile_condition, compile_value

__all__ = ["Expression", "Rows", "RuleBook", "compile_condition", "compile_value"]
