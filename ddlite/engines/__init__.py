"""How a meta-gradient is computed, not what it is: the same numbers in less memory or time."""
