"""What can be wrong with a gradient: a code for each kind of mistake, with what to look at."""

CODES = {
    "constant-factor": "Count the factors of the derivation: does a square bring a 2, does a ½ or ¼ cancel it, has the "
    "product rule two halves?",
    "missing-normaliser": "By which powers of the sizes does the formula divide?",
    "wrong-normaliser": "Compare the powers of the sizes in the formula with those in the code.",
    "mean-for-sum": "Has the formula a sum or a mean?",
    "sign": "With respect to which operand of a difference is the derivative taken? For a step of descent: which way "
    "is down?",
    "transposed": "Which index belongs to which axis? Write the shapes beside the formula.",
    "wrong-operand": "Compare the code with the formula term by term: which arrays occur, and how often?",
    "missing-relu-mask": "Where the input of ReLU is negative, its output is constant. What passes there?",
    "wrong-relu-mask": "From which array does a mask have to come, and where is it zero?",
    "kernel-not-flipped": "Follow one number: forward, kernel[o] multiplies x[p + o] and the product goes to y[p]. "
    "Which positions does the code bring together for one o?",
    "channels-swapped": "Which axis of the kernel has the input channels, and which the output channels?",
    "shifted": "Look at the padding, and at where it is cropped.",
    "edges-lost": "What happens where a window or a difference extends beyond the border?",
    "overlap-overwritten": "Where several contributions meet in one element: are they added (+=) or assigned (=)?",
    "ties": "Where several elements of a window are equally large, together they must get dy once, not each of them.",
    "wrong-reshape": "In which order does reshape read the elements? With channels last, it is (H·W, N) first, and a "
    "transpose then.",
    "mutates-input": "The caller still needs its arrays. Make a new one, or work on a copy.",
    "accumulates": "What is kept between calls: a global variable, a default argument, a random number?",
    "wrong-shape": "Compare what is returned with what the docstring says.",
    "not-finite": "Look for a division by zero, a root or a logarithm.",
    "raises": "Call the function with such an input: does it end, and what is the last line of the traceback?",
    "square-of-sum": "Which comes first, the square or the sum?",
    "missing-square": "Has the formula a square, a magnitude, or neither?",
    "rounded": "Which dtype has the array that the results go into? One of integers cuts off the fractions.",
    "signature": "Take the arguments of the exercise, by its names and in its order.",
    "numerical": "Finite differences are for checking a formula. Derive the formula.",
    "unknown": "None of the known mistakes gives these numbers.",
}
