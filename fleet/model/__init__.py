"""The vocabulary: what the whole server speaks in, as frozen values and pure functions.

Belongs here: records of objects and their keys, filters and selectors, sorting and sums, who may see what
(`scope`), errors, and each cached kind of object (`kinds`). Never here: I/O, a clock, an event loop, another package.
"""
