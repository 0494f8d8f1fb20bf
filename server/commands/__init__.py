"""The command line: one file a command or group of commands, and what they share.

Belongs here: options, what is asked and printed, exit statuses, and this server as a command sees it from outside.
Never here: how a configuration is tried (`server.check`), or what serves (`server.serve`).
"""
