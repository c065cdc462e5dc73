"""The studio: paintings that can be watched, paused and looked into while they come.

`painter` runs them, `inside` looks into one, `code` writes the lines that paint it again. The page itself is made of
these; nothing here knows about a page.
"""
