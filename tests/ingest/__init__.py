"""Sources into contract tables: what is accepted, what is refused and how, and what the audit sees."""
