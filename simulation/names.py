"""The levels of the categorical attributes."""

from __future__ import annotations

LARGEST_CITIES = """
Warszawa, Kraków, Wrocław, Łódź, Poznań, Gdańsk, Szczecin, Lublin, Bydgoszcz, Białystok, Katowice, Gdynia, Częstochowa, Radom,
Rzeszów, Toruń, Sosnowiec, Kielce, Gliwice, Olsztyn, Zabrze, Bielsko-Biała, Bytom, Zielona Góra, Rybnik, Opole, Tychy, Gorzów
Wielkopolski, Elbląg, Płock, Dąbrowa Górnicza, Wałbrzych, Włocławek, Tarnów, Chorzów, Koszalin, Kalisz, Legnica, Grudziądz,
Słupsk, Jaworzno, Nowy Sącz, Siedlce, Suwałki, Zamość, Przemyśl
"""

CITIES: tuple[str, ...] = (*(name.strip() for name in LARGEST_CITIES.split(",")), *(f"gmina {number:03d}" for number in range(1, 255)))

BRANCHES: tuple[str, ...] = tuple(f"branch-{number:03d}" for number in range(1, 181))

MARKETS: tuple[str, ...] = ("centre", "north", "south", "east", "west")

TIME_ZONES: tuple[str, ...] = ("Europe/Warsaw", "Europe/London", "Europe/Berlin")

SEGMENTS: tuple[str, ...] = ("student", "mass", "affluent", "premium", "senior")

EMPLOYMENT: tuple[str, ...] = ("permanent", "temporary", "self_employed", "retired", "student", "none")

INDUSTRIES: tuple[str, ...] = (
    "retail",
    "construction",
    "transport",
    "manufacturing",
    "it",
    "health",
    "hospitality",
    "agriculture",
    "other",
)
