"""All configuration: how a setting is declared, the frozen groups, and what reads them from variables and a file.

Only `environment` reads the environment; a problem names the variable as it was written, its value and what it may be.
Belongs here: units, fields, groups and the table of them in the documentation. Never here: what opens something with a
setting (`server.lifespan`), and no setting is read while a module is imported.
"""
