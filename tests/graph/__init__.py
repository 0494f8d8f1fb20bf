"""The graph: its answers, its errors, its limits, and how it is served."""
