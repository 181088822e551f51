"""FleetControl's settings without its apps, middleware and addresses, for benchmarks/bare.py."""

from fleetcontrol import settings

globals().update({name: value for name, value in vars(settings).items() if name.isupper()})
globals().update(INSTALLED_APPS=[], MIDDLEWARE=[], ROOT_URLCONF="benchmarks.bare")
