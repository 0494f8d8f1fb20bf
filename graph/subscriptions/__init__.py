"""What moves by itself: subscriptions, from the change of an object to the text of a message.

Belongs here: the root type, what an operation follows, the channels in which subscribers of one question share all
work, and the bounded mailbox of each. Never here: a protocol (`graph.http`), or a watch of its own
(`fleet.live.changes`).
"""
