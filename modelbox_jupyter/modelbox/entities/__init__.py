"""Records of everything that ModelBox stores: frozen, typed, without any input or output of their own."""
