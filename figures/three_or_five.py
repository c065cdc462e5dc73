"""Style from the first three and from the first five layers (the Berkeley quiz, question 12)."""

import sheet

from nst_numpy import load_weights, samples, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
first = [f"conv{block}_1" for block in sorted({layer[4] for layer in network.convolutions})]
content, style = samples.portrait(), samples.woodcut_waves()

pictures = {"painting": style}
for layers in (first[:3], first):
    settings = {"weights": network, "size": options.size, "style_weight": 60, "steps": 200, "progress": False}
    result = transfer(content, style, style_layers=layers, **settings)
    pictures[f"{len(layers)} layers: {layers[0]} … {layers[-1]}"] = result.image
sheet.show(options.folder / "three_or_five.jpg", {"": pictures})
