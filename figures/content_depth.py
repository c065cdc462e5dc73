"""Content from a shallow, a middle and a deep layer (a blog post on the Coursera lectures; the paper of 2016)."""

import sheet

from nst_numpy import load_weights, samples, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
deepest = list(network.convolutions)[-1]
content, style = samples.portrait(), samples.swirling_night()

pictures = {"photograph": content}
for layer in ("conv1_1", "conv2_2", "conv3_2", deepest):
    settings = {"weights": network, "size": options.size, "style_weight": 30, "init": "noise", "progress": False}
    pictures[f"content at {layer}"] = transfer(content, style, content_layers=layer, **settings).image
sheet.show(options.folder / "content_depth.jpg", {"": pictures})
