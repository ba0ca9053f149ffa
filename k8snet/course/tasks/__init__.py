"""The tasks of each assignment: texts in YAML, draws and expectations in Python."""
