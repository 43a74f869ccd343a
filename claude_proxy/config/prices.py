"""The section `prices`: what models cost by the user's own word."""

from claude_proxy.config.reader import Reader
from claude_proxy.ledger.price_table import KINDS, rates
from claude_proxy.ledger.prices import PriceSettings

_MOST = 1_000_000  # US dollars


def prices(reader: Reader) -> PriceSettings:
    models_reader = reader.section("models")
    models = {}
    for name in models_reader.names():
        model = models_reader.section(name)
        # Six places in a million tokens are a whole number of picodollars for one.
        given = {kind: price for kind in KINDS if (price := model.decimal(kind, _MOST, 6)) is not None}
        model.finish()
        if models_reader.get(name) == {}:
            models_reader.complain(name, f"expected at least one price: {', '.join(KINDS)}")
        models[name] = rates(given)
    reader.finish()
    return PriceSettings(models)
