"""Looking inside: one pass step by step, receptive fields and the patches that excite units, pictures."""
