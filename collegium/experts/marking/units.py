"""Names of units, so that "km", "kilometers" and "kilometre" are equal."""

from __future__ import annotations

_NAMES = """
km: kilometer kilometers kilometre kilometres
m: meter meters metre metres
cm: centimeter centimeters centimetre centimetres
mm: millimeter millimeters millimetre millimetres
mi: mile miles
ft: foot feet
in: inch inches
yd: yard yards
kg: kilogram kilograms kilo kilos
g: gram grams
mg: milligram milligrams
t: tonne tonnes
lb: lbs pound pounds
oz: ounce ounces
l: liter liters litre litres
ml: milliliter milliliters millilitre millilitres
gal: gallon gallons
s: sec secs second seconds
min: mins minute minutes
h: hr hrs hour hours
d: day days
week: weeks
month: months
year: years yr yrs
km/h: kph kmh
m/s: mps
mph:
c: °c celsius
f: °f fahrenheit
k: kelvin
%: percent
usd: $ dollar dollars
eur: € euro euros
gbp: £
kwh:
w: watt watts
j: joule joules
n: newton newtons
"""
_LISTED = [line.partition(":") for line in _NAMES.strip().splitlines()]
UNITS = {word: unit for unit, _, words in _LISTED for word in (unit, *words.split())}


def unit_of(word: str) -> str | None:
    """Return the unit that a word or sign stands for; None for other words."""
    return UNITS.get(word.strip(" .,;:!?*\\").casefold())
