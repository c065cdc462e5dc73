"""Neural style transfer (Gatys, Ecker and Bethge 2015) from scratch in NumPy, with every gradient derived by hand.

>>> import nst_numpy
>>> picture = nst_numpy.transfer("photograph.jpg", "painting.jpg")  # doctest: +SKIP
>>> picture.save("picture.png")  # doctest: +SKIP

To read how it works: `layers`, `losses`, `network`, `objective`, in this order.
"""

import lazy_loader

__version__ = "0.1.0"

# What is public is listed in __init__.pyi, and imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
