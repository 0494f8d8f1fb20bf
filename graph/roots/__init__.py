"""The root fields of Query and Subscription, and what a gateway of Apollo Federation asks for.

Belongs here: one class of fields a noun; a resolver reads its arguments, makes one load and opens one view. Never
here: a client, a cache, what a type's own fields say (`graph.types`), how events reach a subscriber.
"""
