"""How resolvers come by what they show: one request's loaders, and the batches in which its questions are asked.

Belongs here: the context, look-ahead, pages and their metrics, values that may have to be awaited, and the slices of
the loop's time that long answers are made in. Never here: a type of the schema, a field's description, or a call to a
member or a metric store other than through `fleet.federation` and the ports.
"""
