"""The documentation: the pages that are made from the code, the site, and the picture of the README.

Belongs here: what reads code and Markdown and writes pages. Never here: words that a page could hold itself, and
anything the product imports.
"""
