"""The catalogue of brands as data: what each OEM issues, how it identifies its units, how to sign in to it."""

from credentials.brands.catalogue import BUILT_IN, UnknownBrand, catalogue, find, stored
from credentials.brands.field import Choice, Field, Kind, StoredAs
from credentials.brands.schema import Brand, Cleaned, SignIn, Unit

__all__ = [
    "BUILT_IN",
    "Brand",
    "Choice",
    "Cleaned",
    "Field",
    "Kind",
    "SignIn",
    "StoredAs",
    "Unit",
    "UnknownBrand",
    "catalogue",
    "find",
    "stored",
]
