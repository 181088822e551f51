"""The catalogue of brands as data: what each OEM issues, how its units are named, how to sign in with it."""

from credentials.brands.catalogue import BUILT_IN, UnknownBrand, catalogue, find, stored
from credentials.brands.field import Choice, Field, Kind, Role
from credentials.brands.schema import Brand, Cleaned, SignIn, Unit

__all__ = [
    "BUILT_IN",
    "Brand",
    "Choice",
    "Cleaned",
    "Field",
    "Kind",
    "Role",
    "SignIn",
    "Unit",
    "UnknownBrand",
    "catalogue",
    "find",
    "stored",
]
