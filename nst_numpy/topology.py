"""VGG's layers by name: which exist, in which order, and what their names mean.

"conv4_2" is the second convolution of block 4 with its ReLU; "pool4" is the pooling layer that ends the block.
"""

import re
from collections.abc import Iterable

from nst_numpy.validation import did_you_mean, shown

# Convolutions per block; a pooling layer follows each block (Simonyan and Zisserman 2015, table 1, D and E).
TOPOLOGIES = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
FILTERS = (64, 128, 256, 512, 512)  # in the convolutions of each block
FIRST = "conv1_1"


def layer_names(topology: str) -> list[str]:
    """All layers of a topology ("vgg16" or "vgg19") in order: conv1_1, conv1_2, pool1, … conv5_3 or conv5_4, pool5.

    Examples
    --------
    >>> layer_names("vgg16")[-4:]
    ['conv5_1', 'conv5_2', 'conv5_3', 'pool5']
    """
    names = []
    for number, convolutions in enumerate(TOPOLOGIES[topology], start=1):
        names += [convolution_name(number, i) for i in range(1, convolutions + 1)] + [f"pool{number}"]
    return names


def convolution_name(block: int | str, number: int | str) -> str:
    """The name of a convolution, given its block and its number in the block.

    Examples
    --------
    >>> convolution_name(4, 2)
    'conv4_2'
    """
    return f"conv{block}_{number}"


def convolution_names(topology: str) -> list[str]:
    """The convolutions of a topology in order.

    Examples
    --------
    >>> convolution_names("vgg19")[:3]
    ['conv1_1', 'conv1_2', 'conv2_1']
    """
    return [name for name in layer_names(topology) if is_convolution(name)]


def is_convolution(layer: str) -> bool:
    """Return whether a name is that of a convolution, such as "conv4_2".

    Examples
    --------
    >>> is_convolution("conv4_2"), is_convolution("pool4")
    (True, False)
    """
    return re.fullmatch("conv[1-5]_[1-4]", layer) is not None


def block(layer: str) -> int:
    """The block of a layer, 1 to 5.

    Examples
    --------
    >>> block("conv4_2")
    4
    """
    return int(layer[4])


def reduction(layer: str) -> int:
    """The factor by which a layer's response is smaller than the image, in height and in width (rounded down).

    Examples
    --------
    >>> reduction("conv4_2"), reduction("pool4")
    (8, 16)
    """
    return 1 << (block(layer) - is_convolution(layer))


def canonical(layer: str, layers: Iterable[str]) -> str:
    """The name of a layer as in `layers`; "relu4_2" is another name for "conv4_2".

    Raises
    ------
    ValueError
        If it is not among them; the message suggests the nearest name.

    Examples
    --------
    >>> canonical("relu4_2", ["conv4_1", "conv4_2"])
    'conv4_2'
    """
    layers = list(layers)
    name = layer.replace("relu", "conv") if isinstance(layer, str) else ""
    if name not in layers:
        raise ValueError(
            f"unknown layer {shown(layer)};{did_you_mean(name, layers)} this network has {', '.join(map(str, layers))}"
        )
    return name
