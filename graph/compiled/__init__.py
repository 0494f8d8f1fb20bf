"""The fast path: selections turned into one generated function each, under graphql-core's executor.

Here belongs what makes execution cheaper without changing what it answers; never a name of the schema, a rule of the
product, or an answer of its own. What is plain (attributes, and resolvers that take no `info`) is read by generated
code; everything else, and everything odd, is handed back to graphql-core, so errors, paths and order stay core's.
`docs/explanation/compiled-execution.md` says how it works and how it is kept honest.
"""
