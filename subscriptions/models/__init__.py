from subscriptions.models.wind_down import WindDown

__all__ = ["WindDown"]
