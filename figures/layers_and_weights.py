"""More style layers downwards, more weight on the content to the right (Gatys, Ecker and Bethge 2015, figure 3)."""

import sheet

from nst_numpy import load_weights, samples, transfer

options = sheet.options(__doc__)
network = load_weights(options.weights, padding="replicate")
blocks = sorted({layer[4] for layer in network.convolutions})
content, style = samples.portrait(), samples.swirling_night()

rows = {}
for n in range(1, len(blocks) + 1):
    layers = [f"conv{block}_1" for block in blocks[:n]]
    rows[layers[-1] if n == 1 else f"conv1_1 … {layers[-1]}"] = {
        f"α/β = 1/{beta}": transfer(
            content,
            style,
            weights=network,
            size=options.size,
            style_layers=layers,
            style_weight=beta,
            progress=False,
        ).image
        for beta in (10_000, 1_000, 100, 10)
    }
sheet.show(options.folder / "layers_and_weights.jpg", rows)
