"""The yardstick: a Django view that does nothing, behind no middleware, on the same server."""
