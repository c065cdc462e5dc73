"""What can be wrong with a gradient: a code for each mistake, with its words for students."""

CODES = {
    "constant-factor": "The result is a constant times the right one. Go through the derivation once more and count "
    "the factors: does a square bring a 2, does a ½ or ¼ cancel it? A ½ in a gradient through G = F Fᵀ often means "
    "that half of the product rule is missing: F occurs twice.",
    "missing-normaliser": "The formula divides by a power of the sizes, and the result does not.",
    "wrong-normaliser": "The result is divided by another power of the sizes than the formula says. N is the number of "
    "filters, M = H · W the number of positions.",
    "mean-for-sum": "The result is a mean where the formula has a sum.",
    "sign": "The sign is wrong. For a difference, ask with respect to which operand the derivative is taken; for a "
    "step of descent, which way is down.",
    "transposed": "The numbers are right, but two axes are exchanged.",
    "wrong-operand": "The formula is applied to the wrong array, or a term is missing.",
    "missing-relu-mask": "The gradient passes ReLU everywhere. Where its input is negative, the output is constant: "
    "nothing may pass. (A mask from output >= 0 is no mask: it is always true.)",
    "wrong-relu-mask": "The gradient is masked, but not by the sign of ReLU's input.",
    "kernel-not-flipped": "Forward gathers x[p + o] through kernel[o]; so backward must bring dy[p] to p + o. Written "
    "as a convolution of dy, that needs the kernel rotated by 180°.",
    "channels-swapped": "Input and output channels are exchanged: forward multiplies by kernel[o], backward by its "
    "transpose.",
    "shifted": "The result is right, but shifted by a pixel: look at the padding and at where it is cropped.",
    "edges-lost": "The result is right inside, and wrong at the border: what happens where a window or a difference "
    "extends beyond it?",
    "overlap-overwritten": "Where windows overlap, an element gets a part of the gradient from each of them: add (+=), "
    "do not assign.",
    "ties": "Where several elements of a window are equally large, together they must get dy once, not each of them.",
    "wrong-reshape": "The shape is right and the content is not: a reshape has mixed positions and channels. With "
    "channels last, reshape to (H·W, N) first, and transpose then.",
    "mutates-input": "The function changes one of its arguments in place. The caller still needs them.",
    "accumulates": "A second call with the same arguments returns something else: state is kept between calls.",
    "wrong-shape": "The result has the wrong shape.",
    "not-finite": "The result contains NaN or infinity.",
    "raises": "The function stops with an error.",
    "square-of-sum": "The square is taken of the sum; the formula sums the squares.",
    "missing-square": "The square is missing.",
    "unknown": "The result is wrong, and none of the common mistakes gives these numbers.",
}
