"""Plain Python: what usage costs. No Django, no clock, no input or output."""
