"""Content and style reconstructions, layer by layer (Gatys, Ecker and Bethge 2015, figure 1).

Above, an image from its features in one layer; below, a texture from the Gram matrices of the first layers.
"""

import sheet

from nst_numpy import load_weights, reconstruct, samples, texture

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
settings = {"weights": network, "size": options.size, "progress": False}
blocks = sorted({layer[4] for layer in network.convolutions})

content, style = {}, {}
for n in range(1, len(blocks) + 1):
    layer = [name for name in network.convolutions if name[4] == blocks[n - 1]][:2][-1]
    content[layer] = reconstruct(samples.portrait(), layer, **settings).image
    layers = [f"conv{block}_1" for block in blocks[:n]]
    title = layers[-1] if n == 1 else f"conv1_1 … {layers[-1]}"
    style[title] = texture(samples.swirling_night(), style_layers=layers, **settings).image
sheet.show(options.folder / "reconstructions.jpg", {"content": content, "style": style})
