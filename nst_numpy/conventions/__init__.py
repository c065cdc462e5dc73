"""How published systems define, normalise, weight, initialise and optimise the same two losses, as data.

With the paper's content loss L_content = ½ Σ (F − P)² and its style loss E = 1/(4 N² M²) Σ (G − A)², each of them
minimises

L = α Σ_l v_l a_l L_content,l + β Σ_l w_l b_l E_l + γ TV

They differ in the factors a_l and b_l, which depend on the layer's number of filters N and of positions M and on the
number of pixels S, in the total variation, and in the weights, layers, start and optimiser. So the α and β of one
system mean something else in another; `convert` translates them.
"""

from nst_numpy.conventions.convention import CONTENT_TERMS, STYLE_TERMS, VARIATIONS, Convention, TotalVariation
from nst_numpy.conventions.conversion import convert
from nst_numpy.conventions.systems import CONVENTIONS, get, table

__all__ = [
    "CONTENT_TERMS",
    "CONVENTIONS",
    "STYLE_TERMS",
    "VARIATIONS",
    "Convention",
    "TotalVariation",
    "convert",
    "get",
    "table",
]
