"""Where records, points and bytes lie: three protocols (:mod:`.interfaces`), found by name (:mod:`.registry`), one module per backend."""
