"""Inside a painting, on the page: its losses, its layers, one pixel, and the code that paints it."""
