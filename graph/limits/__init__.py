"""What a document may be, looked at before anything is executed: its text, its shape, what its fragments unfold to.

Belongs here: rules over the document alone, and the error of what they refuse. Never here: the fleet's size
(`graph.cost` asks for it), a resolver, a wait.
"""
