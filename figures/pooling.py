"""Average pooling against max pooling (Gatys, Ecker and Bethge 2015, section Methods)."""

import sheet

from nst_numpy import load_weights, reconstruct, samples, texture, transfer

options = sheet.options(__doc__)
content, style = samples.portrait(), samples.swirling_night()

rows = {}
for pooling in ("average", "max"):
    settings = {
        "weights": load_weights(options.weights, pooling=pooling, padding="replicate"),
        "size": options.size,
        "progress": False,
    }
    rows[pooling] = {
        "transfer": transfer(content, style, **settings).image,
        "texture": texture(style, **settings).image,
        "content from conv3_1": reconstruct(content, "conv3_1", **settings).image,
    }
sheet.show(options.folder / "pooling.jpg", rows)
